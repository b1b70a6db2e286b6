"""Microsoft Graph as the connector asks it: signed in, page by page, patiently, and never at another host."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from fmf.connectors.replies import code_of, retry_after
from fmf.connectors.sharepoint.sign_in import SignIn
from fmf.connectors.sharepoint.web import Web, address, fault, same_origin
from fmf.errors import ConfigError, ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import bare_address, shortened

PUBLIC_URL: Final = "https://graph.microsoft.com/v1.0"
WHOLE_S: Final = 120.0
"""How long one answer may take to its last byte, in seconds."""
LONGEST: Final = 64 << 20
"""The largest answer, in bytes."""
_BLOCK: Final = 1 << 16
_PROXY: Final = "is there a proxy that answers in Graph's place? check graph_url"

HINTS: Final[Mapping[int, str]] = {
    401: "the token was refused: check that tenant_id, authority and graph_url belong to the same cloud",
    403: "the application may not read this: grant Sites.Read.All, or Sites.Selected for the site, with admin consent",
    404: "it may have been moved, renamed or deleted",
    423: "somebody has locked it: try again later",
    429: "SharePoint slows this application down: run again later, or read fewer files at once",
}


class Graph:
    """Asks Graph for JSON; safe for many threads.

    Args:
        url: where Graph is; `/v1.0` is added where there is no path.
        sign_in: gives the token, which is sent to the host of `url` only.
        web: how it is reached.

    Raises:
        ConfigError: `url` is no https address.
    """

    def __init__(self, url: str, sign_in: SignIn, web: Web) -> None:
        self._base = checked_url(url)
        self._sign_in = sign_in
        self.web = web

    @property
    def plain(self) -> bool:
        """Whether Graph is on this machine, without TLS; then what it points to may be so as well."""
        return self._base.scheme == "http"

    def get(self, target: object, what: str, op: str) -> dict[str, Any]:
        """The JSON object at `target`: a path below the base, or an address that Graph gave, on its own host.

        Args:
            target: the path or the address.
            what: what is asked for, for errors.
            op: the name of the operation, for errors.

        Raises:
            ConnectorError: it cannot be had; `fields["status"]` is the status of the answer, where there was one.
        """
        url = self._address(target, what, op)
        return self.web.retries.call(lambda: _json(self._answer(url, what, op)[1], what, op))

    def pages(self, target: str, what: str, op: str) -> Iterator[dict[str, Any]]:
        """The pages from `target` on, by the links that Graph gives, whatever they look like."""
        seen = set()
        link: object = target
        while link:
            if link in seen:
                raise _strange(f"{what}: the pages go round in a circle", op)
            seen.add(link)
            page = self.get(link, what, op)
            yield page
            link = page.get("@odata.nextLink")

    def location(self, target: str, what: str, op: str) -> str:
        """Where `target` redirects to; nothing is asked there."""
        url = self._address(target, what, op)
        headers, _ = self.web.retries.call(lambda: self._answer(url, what, op, redirects=True))
        return str(headers.get("location", ""))

    def _address(self, target: object, what: str, op: str) -> httpx.URL:
        if isinstance(target, str) and target.startswith("/"):
            return httpx.URL(f"{self._base}{target}")
        url = address(target, plain=self.plain) if isinstance(target, str) else None
        if url is None or not same_origin(url, self._base):
            raise ConnectorError(
                f"{what}: the link to the next page leads to {bare_address(str(target))[:200]!r}, which is not Graph",
                op=op,
                code=Code.REFUSED,
                hint=f"graph_url is {self._base}: a gateway must give out links to itself",
            )
        return url

    def _answer(self, url: httpx.URL, what: str, op: str, *, redirects: bool = False) -> tuple[httpx.Headers, bytes]:
        """Headers and body of one answer; a token that is refused is replaced once."""
        token = self._sign_in.token()
        response, body = self._asked(url, token, what, op)
        if response.status_code == 401:
            response, body = self._asked(url, self._sign_in.token(refused=token), what, op)
        if response.status_code == 200 or (redirects and response.is_redirect):
            return response.headers, body
        raise failure(response, body, what, op)

    def _asked(self, url: httpx.URL, token: str, what: str, op: str) -> tuple[httpx.Response, bytes]:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        late = time.monotonic() + WHOLE_S
        body = bytearray()
        try:
            response = self.web.send(url, headers)
            try:
                for block in response.iter_bytes(_BLOCK):
                    body += block
                    if len(body) > LONGEST:
                        raise _strange(f"{what}: the answer is longer than {LONGEST >> 20} MiB", op)
                    if time.monotonic() > late:
                        raise _strange(f"{what}: no whole answer in {WHOLE_S:g} s", op, Code.TIMEOUT)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise fault(error, what, op) from error
        return response, bytes(body)


def checked_url(url: str) -> httpx.URL:
    """The base address of Graph.

    Raises:
        ConfigError: it is no https address, and none of this machine.
    """
    base = address(url.strip().rstrip("/"), plain=True)
    if base is None:
        raise ConfigError(
            f"graph_url {bare_address(url)!r} is no https address",
            op="sharepoint.connect",
            hint=f"write it like {PUBLIC_URL}; http is allowed on this machine only",
        )
    return base if base.path.strip("/") else httpx.URL(f"{base.scheme}://{base.netloc.decode()}/v1.0")


def segments(path: str) -> str:
    """`path` for use in an address: everything but the slashes is encoded."""
    return "/".join(quote(part, safe="", errors="surrogatepass") for part in path.split("/"))


def failure(response: httpx.Response, body: bytes, what: str, op: str) -> ConnectorError:
    """The error for an answer that is no success."""
    status = response.status_code
    told = _reason(body)
    asked = retry_after(response.headers)
    fields = {"status": status, "request_id": response.headers.get("request-id")}
    return ConnectorError(
        f"{what}: Graph answered {status}{f', {told}' if told else ''}",
        op=op,
        code=code_of(status),
        hint=HINTS.get(status, "run again later; look at the service health of Microsoft 365"),
        retry_after=asked,
        fields={name: value for name, value in fields.items() if value is not None},
    )


def _strange(message: str, op: str, code: Code = Code.BAD_REPLY) -> ConnectorError:
    """The error for an answer that Graph would not give."""
    return ConnectorError(message, op=op, code=code, hint=_PROXY)


def _reason(body: bytes) -> str:
    """What a refusal says, in one short line; it is text of somebody else."""
    try:
        told = json.loads(body)["error"]
        text = f"{told.get('code', '')}: {told.get('message', '')}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return "".join(char if char.isprintable() else " " for char in shortened(text, 300))


def _json(body: bytes, what: str, op: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        # A proxy's page, or a body that was cut: the next answer may be whole.
        raise ConnectorError(
            f"{what}: the answer is no JSON object",
            op=op,
            code=Code.UNAVAILABLE,
            hint=_PROXY,
        )
    return found
