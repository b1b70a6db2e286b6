"""Where requests go: a base URL taken apart and checked, the head of a request to it, and the proxy on the way."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from chatmodels.transport.seam import UnsentFault
from fmf_core import __version__
from fmf_core.errors import Code
from fmf_core.redact import add_named_secrets, add_secrets_of_address, bare_address

USER_AGENT = f"frontier-model-framework/{__version__}"
PORTS = {"http": 80, "https": 443}
MOST_HEADS = 256
"""How many heads of requests are kept ready: one for every path, which with Azure is one for every deployment."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FRAMING = frozenset({"content-length", "transfer-encoding"})


class Origin(NamedTuple):
    """What a connection is made to; requests to the same origin may share connections."""

    host: str
    port: int
    secure: bool
    proxy: str | None
    """The address of the proxy on the way, with its credentials."""


class Target:
    """A server and what every request to it says.

    Args:
        base_url: `http://` or `https://`, a host, and whatever stands before the paths of requests; a query stands
            behind them.
        headers: sent with every request.

    Raises:
        UnsentFault: `base_url` is no such address, or a header cannot be sent.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        add_secrets_of_address(base_url)
        add_named_secrets(headers)
        parts = _checked(base_url)
        self._prefix = parts.path.rstrip("/")
        self._query = f"?{parts.query}" if parts.query else ""
        self._parts = parts
        given = {name.lower(): _sendable(name, value) for name, value in headers.items()}
        self._headers = {
            "user-agent": USER_AGENT,
            "accept-encoding": "gzip",
            "content-type": "application/json",
            **given,
        }
        self._heads: dict[tuple[str, str], bytes] = {}

    @cached_property
    def address(self) -> str:
        """Where the server is, without what may be secret in a base URL."""
        parts = self._parts
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{in_address(parts.hostname or '')}{port}{self._prefix}"

    @cached_property
    def origin(self) -> Origin:
        """What to connect to; the environment names the proxy, if there is one."""
        parts = self._parts
        host = _ascii_host(parts.hostname or "")
        port = parts.port or PORTS[parts.scheme]
        return Origin(host, port, parts.scheme == "https", proxy_for(parts.scheme, f"{host}:{port}"))

    def head(self, method: str, path: str) -> bytes:
        """The head of a request up to the value of its last header, `content-length`."""
        known = self._heads.get((method, path))
        if known is None:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            known = self._heads[method, path] = self._made(method, path).encode("ascii")
        return known

    def _made(self, method: str, path: str) -> str:
        origin = self.origin
        wanted = f"{self._prefix}{path}{self._query}"
        authority = in_address(origin.host)
        if origin.port != PORTS[self._parts.scheme]:
            authority += f":{origin.port}"
        proxied = ""
        if origin.proxy and not origin.secure:
            # Without TLS the proxy reads the request itself, and wants the whole address.
            wanted = f"http://{authority}{wanted}"
            proxied = proxy_authorization(origin.proxy)
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"host": authority, **self._headers}.items())
        return f"{method} {wanted} HTTP/1.1\r\n{lines}{proxied}content-length: "


def in_address(host: str) -> str:
    """`host` as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def proxy_for(scheme: str, authority: str) -> str | None:
    """The proxy that the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) names for an address."""
    if not any(name.lower().endswith("_proxy") and value for name, value in os.environ.items()):
        return None
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(authority, proxies):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    hint = "name an http:// proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or add the host to NO_PROXY"
    add_secrets_of_address(proxy)
    parts = _split(proxy)
    if parts is None or (parts.scheme == "http" and not parts.hostname):
        raise UnsentFault(f"{bare_address(proxy)!r} is no address of a proxy", Code.INVALID, hint)
    if parts.scheme != "http":
        problem = f"the proxy {bare_address(proxy)} is of a kind that is not spoken here"
        raise UnsentFault(problem, Code.UNSUPPORTED, hint)
    return proxy


def proxy_authorization(proxy: str) -> str:
    """The header line with the credentials in the proxy's address, or nothing."""
    parts = urlsplit(proxy)
    if not parts.username:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    told = base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode("ascii")
    return f"proxy-authorization: Basic {told}\r\n"


def _checked(base_url: str) -> SplitResult:
    parts = _split(base_url)
    if parts is None:
        raise _no_address(base_url, "its host or its port is malformed")
    if parts.scheme not in PORTS or not parts.hostname:
        raise _no_address(base_url, "it must begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise _no_address(base_url, "credentials do not belong into an address: use api_key")
    if any(char.isspace() or not char.isprintable() for char in base_url):
        raise _no_address(base_url, "it holds white space")
    if not (parts.path + parts.query).isascii():
        raise _no_address(base_url, "its path holds characters that must be written as %XX")
    return parts


def _split(address: str) -> SplitResult | None:
    """The parts of an address, unless it is malformed."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    return None if port == 0 else parts


def _no_address(address: str, problem: str) -> UnsentFault:
    message = f"{bare_address(address)!r} is no address of a server: {problem}"
    return UnsentFault(message, Code.INVALID, "check {address_names}")


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise _no_address(host, "its host is no name of a server") from error


def _sendable(name: str, value: str) -> str:
    if not (_TOKEN.fullmatch(name) and value.isascii() and value.isprintable()) or name.lower() in _FRAMING:
        raise UnsentFault(
            f"the header {name!r} cannot be sent so, or holds a line break or a character that no header can hold",
            Code.INVALID,
            "check default_headers, organization and project",
        )
    return value
