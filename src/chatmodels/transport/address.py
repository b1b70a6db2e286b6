"""Where requests go: a base URL taken apart and checked, the head of a request to it, and the proxy on the way."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from chatmodels.transport.seam import TransportFault
from fmf_core import __version__
from fmf_core.errors import Code

USER_AGENT = f"frontier-model-framework/{__version__}"
PORTS = {"http": 80, "https": 443}


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
        TransportFault: `base_url` is no such address, or a header cannot be sent.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        parts = _checked(base_url)
        self._prefix = parts.path.rstrip("/")
        self._query = f"?{parts.query}" if parts.query else ""
        self._parts = parts
        self._headers = "".join(f"{name}: {_sendable(name, value)}\r\n" for name, value in headers.items())
        self._heads: dict[tuple[str, str], bytes] = {}

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
            known = self._heads[method, path] = self._made(method, path).encode("ascii")
        return known

    def _made(self, method: str, path: str) -> str:
        origin = self.origin
        wanted = f"{self._prefix}{path}{self._query}"
        authority = f"[{origin.host}]" if ":" in origin.host else origin.host
        if origin.port != PORTS[self._parts.scheme]:
            authority += f":{origin.port}"
        proxied = ""
        if origin.proxy and not origin.secure:
            # Without TLS the proxy reads the request itself, and wants the whole address.
            wanted = f"http://{authority}{wanted}"
            proxied = proxy_authorization(origin.proxy)
        return (
            f"{method} {wanted} HTTP/1.1\r\nhost: {authority}\r\n{proxied}{self._headers}"
            f"user-agent: {USER_AGENT}\r\naccept-encoding: gzip\r\n"
            "content-type: application/json\r\ncontent-length: "
        )


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
    if urlsplit(proxy).scheme != "http":
        raise TransportFault(
            f"the proxy {_shown(urlsplit(proxy))} is of a kind that is not spoken here",
            Code.UNSUPPORTED,
            "name an http:// proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or add the host to NO_PROXY",
        )
    return proxy


def proxy_authorization(proxy: str) -> str:
    """The header line with the credentials in the proxy's address, or nothing."""
    parts = urlsplit(proxy)
    if not parts.username:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"proxy-authorization: Basic {base64.b64encode(pair.encode()).decode('ascii')}\r\n"


def _checked(base_url: str) -> SplitResult:
    problem = "it must begin with http:// or https:// and a host"
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in PORTS and bool(parts.hostname)
        _ = parts.port
    except ValueError as error:
        raise _no_address(base_url, str(error)) from error
    if good and (parts.username or parts.password):
        good, problem = False, "credentials do not belong into an address: use api_key"
    if good and not (parts.path + parts.query).isascii():
        good, problem = False, "its path holds characters that must be written as %XX"
    if good and any(char.isspace() or not char.isprintable() for char in base_url):
        good, problem = False, "it holds white space"
    if not good:
        raise _no_address(_shown(parts), problem)
    return parts


def _no_address(shown: str, problem: str) -> TransportFault:
    return TransportFault(f"{shown!r} is no address of a server: {problem}", Code.INVALID, "check base_url")


def _shown(parts: SplitResult) -> str:
    """The address without the credentials that may stand in it."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise _no_address(host, "its host is no name of a server") from error


def _sendable(name: str, value: str) -> str:
    if not (name.isascii() and value.isascii() and name.isprintable() and value.isprintable()) or ":" in name:
        raise TransportFault(
            f"the header {name!r} holds a line break or a character that no header can hold",
            Code.INVALID,
            "check default_headers, organization and project",
        )
    return value
