"""HTTP for the connector: clients with limits, no cookies and no redirects, and what their failures mean."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Final
from weakref import finalize

import httpx

from fmf.connectors.retries import Retries
from fmf.errors import ConfigError, ConnectorError
from fmf_core.errors import Code
from fmf_core.forks import Lock, in_forked_child
from fmf_core.redact import bare_address

CONNECT_S: Final = 10.0
"""How long a connection may take to be made, in seconds."""
LIMITS: Final = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30.0)
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_AGENT: Final = "frontier-model-framework"


class Web:
    """One HTTP client, made when it is first needed and made anew in a forked child; safe for many threads.

    Args:
        retries: makes its requests again.
        ca_bundle: a file of certificates to trust instead of the system's.
        timeout_s: how long a server may be silent, in seconds.
    """

    def __init__(self, retries: Retries, ca_bundle: Path | None = None, timeout_s: float = 60.0) -> None:
        self.retries = retries
        self.timeout_s = timeout_s
        self._timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S))
        self._ca_bundle = ca_bundle
        self._client: httpx.Client | None = None
        self._lock = Lock()
        in_forked_child(self._drop)

    @property
    def client(self) -> httpx.Client:
        """The client of this process.

        Raises:
            ConfigError: the file of certificates cannot be used.
        """
        with self._lock():
            if self._client is None:
                self._client = self._made()
                # Nobody has to close a connector: connections end with it.
                finalize(self, self._client.close)
            return self._client

    def send(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        """The answer to one request, whose body is still to be read; the caller closes it.

        Raises:
            httpx.HTTPError: no answer came.
        """
        client = self.client
        request = client.build_request("GET", url, headers=headers)
        reset = _asking.set(True)
        try:
            return client.send(request, stream=True)
        finally:
            _asking.reset(reset)

    def _drop(self) -> None:
        # The connections belong to the parent: they are left alone, not closed.
        self._client = None

    def _made(self) -> httpx.Client:
        try:
            context = ssl.create_default_context(cafile=self._ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"ca_bundle {str(self._ca_bundle)!r} cannot be used: {error}",
                op="sharepoint.connect",
                hint="name a file of certificates in PEM format that can be read",
            ) from error
        client = httpx.Client(verify=context, timeout=self._timeout, limits=LIMITS, headers={"user-agent": _AGENT})
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return client


class _BareAddresses(logging.Filter):
    """Shortens the addresses in what httpx and httpcore log of our requests: some let in whoever knows them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _asking.get():
            return True
        if record.name.startswith("httpcore"):  # an answer's headers, of which one may be such an address
            record.msg = str(record.msg).partition(" return_value=")[0]
        if isinstance(record.args, tuple):
            record.args = tuple(
                bare_address(str(value)) if isinstance(value, httpx.URL) else value for value in record.args
            )
        return True


_asking: ContextVar[bool] = ContextVar("fmf.connectors.sharepoint.asking", default=False)
for _name in ("httpx", "httpcore.http11"):
    logging.getLogger(_name).addFilter(_BareAddresses())


def address(text: str, *, plain: bool) -> httpx.URL | None:
    """`text` as an address that may be asked: over https, or, where `plain` is allowed, over http on this machine."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError):
        return None
    if url.userinfo or not url.host:
        return None
    return url if url.scheme == "https" or (plain and url.scheme == "http" and url.host in LOOPBACK) else None


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether two addresses lead to the same server."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def fault(error: Exception, what: str, op: str) -> ConnectorError:
    """The error of the house for one of httpx, with which no answer came."""
    if isinstance(error, httpx.TimeoutException):
        late = "no free connection" if isinstance(error, httpx.PoolTimeout) else "no answer in time"
        hint = "try again; close streams that are no longer read"
        return ConnectorError(f"{what}: {late}", op=op, code=Code.TIMEOUT, hint=hint)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "set ca_bundle to a file with the certificate of the authority that signed the server's"
        return ConnectorError(f"{what}: the server's certificate is not trusted", op=op, code=Code.REFUSED, hint=hint)
    told = str(error) or type(error).__name__
    if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol):
        hint = "check the network, the proxy (HTTPS_PROXY) and graph_url"
        return ConnectorError(f"{what}: {told}", op=op, code=Code.UNAVAILABLE, hint=hint)
    hint = "check graph_url, and what lies between here and SharePoint"
    return ConnectorError(f"{what}: {told}", op=op, code=Code.BAD_REPLY, hint=hint)
