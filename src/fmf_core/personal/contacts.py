"""Addresses of people and of their machines: e-mail, IP and MAC addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from fmf_core.personal.payments import Span

_LOCAL = re.compile(r"(?<![\w.+%'-])\w(?:[\w.+%'!#$&*/=?^`{|}~-]{0,62}[\w+%'~-])?\Z")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.){{1,8}}([^\W\d_]{{2,24}}|xn--[A-Za-z0-9-]{{2,59}})(?![\w-])")
_HIDDEN = re.compile(
    r"[A-Za-z0-9](?<![\w.+-].)[\w.+-]{0,62} ?(?:\[at\]|\(at\)) ?"
    r"[A-Za-z0-9-]{1,62}(?:(?:\.| ?(?:\[dot\]|\(dot\)) ?)[A-Za-z0-9-]{1,62}){1,4}(?<=[A-Za-z][A-Za-z])(?![\w-])"
)
_FILES = frozenset((
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "mjs", "ts", "tsx", "jsx", "json", "map", "html",
    "htm", "xml", "yml", "yaml", "toml", "lock", "tgz", "gz", "zip", "tar", "whl", "java", "class", "jar", "exe", "dll",
    "txt", "pdf", "csv", "log",
))  # fmt: skip
"""Ends of file names: `icon@2x.png` is no address. Ends that are domains as well (`io`, `rs`) are not among them."""

_IPV4 = re.compile(r"[0-9](?<![\w.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9]|-(?![0-9]{1,3}\.[0-9])\w)")
_IPV6 = re.compile(
    r"[0-9A-Fa-f:](?<![\w:.].)(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{1,38}"
    r"(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?:%\w{1,16})?(?![\w:]|\.[0-9])"
)
_NO_ADDRESS = re.compile(
    r"(?i)(?:(?<![^\W_])(?:v|ver|version|versions|release|build|bios|firmware|rev|revision|oid|section|sections|chapter|clause"
    r"|kapitel|abschnitt|ziffer|punkt|software|driver|sdk|schema|update)\.?[ :=]{0,2}"
    r"|(?:版本号?|バージョン|버전)[ :=は은는是为]{0,3}|§ ?|[a-z]/)\Z"
)
_NOBODYS = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("255.0.0.0/8"), ipaddress.ip_network("0.0.0.0/8")
_MAC = re.compile(
    r"[0-9A-Fa-f](?<![\w:-].)[0-9A-Fa-f]([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?!\w|[:-][0-9A-Fa-f])"
)


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses, also of international domains, and as people hide them: `ann (at) example (dot) com`."""
    place = text.find("@")
    while place >= 0:
        local = _LOCAL.search(text[max(0, place - 65) : place])
        domain = _DOMAIN.match(text, place + 1)
        if local and domain and domain[1].lower() not in _FILES and local.group() not in ("git", "ssh"):
            yield place - len(local.group()), domain.end(), None
        place = text.find("@", place + 1)
    if "at]" in text or "at)" in text:
        for match in _HIDDEN.finditer(text):
            yield *match.span(), None


def ip_addresses(text: str) -> Iterator[Span]:
    """Addresses of machines, version 4 and 6, but for those that belong to nobody: loopback, masks, versions."""
    if ":" in text:
        for match in _IPV6.finditer(text):
            if _is_ipv6(match.group()):
                yield *match.span(), None
    for match in _IPV4.finditer(text):
        start = match.start()
        if _is_ipv4(match.group()) and not _NO_ADDRESS.search(text[max(0, start - 24) : start]):
            yield *match.span(), None


def mac_addresses(text: str) -> Iterator[Span]:
    """Addresses of network cards: six pairs of hexadecimal digits."""
    for match in _MAC.finditer(text):
        if len(set(match.group())) > 2:  # not all zeros, not the broadcast address
            yield *match.span(), None


def _is_ipv4(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not any(address in network for network in _NOBODYS)


def _is_ipv6(text: str) -> bool:
    if text.count(":") < 2:
        return False
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    # `abc::d1` is an address to the letter, but mostly a name in a program: only blocks that are in use count.
    first = int(address) >> 112
    return 0x2000 <= first <= 0x3FFF or first >= 0xFC00 or (address.ipv4_mapped is not None and "." in text)
