"""Requests to a bucket over HTTP: signed, with limits, and never made again by themselves."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from botocore.utils import get_environ_proxies
from urllib3 import PoolManager, ProxyManager, Timeout, make_headers
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import parse_url

from fmf.connectors.replies import StrangeReplyError
from fmf.connectors.s3.failures import BOTO, of_boto, of_reply, of_urllib3
from fmf.connectors.s3.signing import Keys, Signing
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import add_secret

CONNECT_S: Final = 10.0
"""How long a connection may take to come about, in seconds, where `timeout_s` is not less."""
WHOLE_S: Final = 120.0
"""How long a reply that is no object may take to its last byte, in seconds."""
LONGEST: Final = 64 << 20
"""The most bytes of a reply that is no object."""
PIECE: Final = 1 << 18
"""The most bytes of an object that are taken at once."""
_REFUSAL: Final = 1 << 16
_CONNECTIONS: Final = 64
_FAILURES: Final = (HTTPError, HTTPException, OSError, ValueError)


class Signer(Protocol):
    """Who asks: what botocore calls credentials."""

    def get_frozen_credentials(self) -> Any:
        """The keys of this moment, renewed where they have expired."""
        ...


class Wire:
    """Asks one bucket; may be used by many threads.

    Args:
        url: the bucket's address, with its name as the last part of the path.
        region: what requests are signed for.
        signer: who asks; None asks without a signature.
        timeout_s: how long the service may be silent, in seconds.

    Raises:
        ConnectorError: the file of certificates that `AWS_CA_BUNDLE` names cannot be used.
    """

    def __init__(self, url: str, region: str, signer: Signer | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._host = parts.netloc.rpartition("@")[2].removesuffix(":443" if parts.scheme == "https" else ":80")
        self._signing = Signing(region)
        self._signer = signer
        self._known: object = None
        self._late_s = max(WHOLE_S, timeout_s)
        self._pool = _pool(url, Timeout(connect=min(CONNECT_S, timeout_s), read=timeout_s))

    def ask(
        self, method: str, key: str, headers: Mapping[str, str], op: str, what: str, *, query: str = ""
    ) -> BaseHTTPResponse:
        """The reply to one request, whose body is still to be read; the caller closes it.

        Args:
            method: GET or HEAD.
            key: the object's key; empty for the bucket.
            headers: what the request says besides its signature, by names in small letters.
            op: the name of the operation, for errors.
            what: what the caller is about to do, for errors.
            query: the encoded query, its parts sorted by their names.

        Raises:
            ConnectorError: there was no reply, or a refusal.
        """
        # Whoever signs counts every character, and urllib3 sends these as they are.
        path = f"{self._path}/{quote(key, safe='/~')}" if key else self._path
        sent = {"host": self._host, **headers}
        if self._signer is not None:
            sent = self._signing.signed(
                (method, path, query), sent, self._keys(self._signer, op, what), datetime.now(UTC)
            )
        sent["accept-encoding"] = "identity"
        try:
            reply = self._pool.urlopen(
                method,
                f"{self._origin}{path}{query and '?'}{query}",
                headers=sent,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except _FAILURES as error:
            raise of_urllib3(error, op, what) from error
        if reply.status in {200, 206}:
            return reply
        raise of_reply(reply.status, reply.headers, self._refusal(reply, op, what), op, what)

    def whole(self, query: str, op: str, what: str) -> bytes:
        """All bytes of what the bucket says to `query`; raises as `ask` does, and where they do not come in time."""
        reply = self.ask("GET", "", {}, op, what, query=query)
        try:
            return self._taken(reply, LONGEST, op, what)
        finally:
            reply.close()

    def _keys(self, signer: Signer, op: str, what: str) -> Keys:
        try:
            keys: Keys = signer.get_frozen_credentials()
        except BOTO as error:
            raise of_boto(error, op, what) from error
        if keys != self._known:
            for secret in (keys.secret_key, keys.token):
                if secret:
                    add_secret(secret)
            self._known = keys
        return keys

    def _refusal(self, reply: BaseHTTPResponse, op: str, what: str) -> bytes:
        """What a refusal says; nothing where that cannot be read, for its status says enough."""
        try:
            return self._taken(reply, _REFUSAL, op, what)
        except ConnectorError:
            return b""
        finally:
            reply.close()

    def _taken(self, reply: BaseHTTPResponse, most: int, op: str, what: str) -> bytes:
        late = time.monotonic() + self._late_s
        body = bytearray()
        for block in blocks(reply, op, what):
            body += block
            if len(body) > most:
                raise StrangeReplyError(f"{what} failed: the reply is longer than {most} bytes", op=op)
            if time.monotonic() > late:
                hint = "look at the network, at endpoint_url and at the service's status"
                slow = f"{what} failed: no whole reply in {self._late_s:g} s"
                raise ConnectorError(slow, op=op, code=Code.TIMEOUT, hint=hint)
        return bytes(body)


def blocks(reply: BaseHTTPResponse, op: str, what: str) -> Iterator[bytes]:
    """The bytes of a reply as they come.

    Raises:
        ConnectorError: they broke off.
    """
    try:
        while block := reply.read1(PIECE):
            yield block
    except _FAILURES as error:
        raise of_urllib3(error, op, what) from error


def _pool(url: str, timeout: Timeout) -> PoolManager:
    context = ssl.create_default_context()
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        _trust(context, Path(bundle))
    settings: dict[str, Any] = {"timeout": timeout, "maxsize": _CONNECTIONS, "ssl_context": context}
    proxy = get_environ_proxies(url).get(urlsplit(url).scheme)
    if not proxy:
        return PoolManager(**settings)
    address = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    who = make_headers(proxy_basic_auth=address.auth) if address.auth else None
    return ProxyManager(address._replace(auth=None).url, proxy_headers=who, proxy_ssl_context=context, **settings)


def _trust(context: ssl.SSLContext, bundle: Path) -> None:
    try:
        context.load_verify_locations(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise ConnectorError(
            f"AWS_CA_BUNDLE, {str(bundle)!r}, cannot be used: {error.strerror or error}",
            op="s3.connect",
            code=Code.INVALID,
            hint="let it name a file of certificates in the form PEM",
        ) from error
