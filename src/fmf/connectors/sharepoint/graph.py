"""Microsoft Graph as the connector asks it: signed in, page by page, patiently, and never at another host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx

from fmf.connectors.replies import StrangeReplyError, code_of, retry_after
from fmf.connectors.sharepoint.sign_in import SignIn
from fmf.connectors.sharepoint.tree import text_of
from fmf.connectors.sharepoint.web import Web, address, fault, same_origin
from fmf.errors import ConfigError, ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import bare_address, shortened

PUBLIC_URL: Final = "https://graph.microsoft.com/v1.0"
WHOLE_S: Final = 120.0
"""How long one answer may take to its last byte, in seconds."""
LONGEST: Final = 64 << 20
"""The largest answer, in bytes."""
FRUITLESS: Final = 1000
"""So many pages one after the other that tell of nothing new are taken; a delta may have some."""
DELTA_LINK: Final = "@odata.deltaLink"
NEXT_LINK: Final = "@odata.nextLink"
_BLOCK: Final = 1 << 16
_PROXY: Final = "is there a proxy that answers in Graph's place? check graph_url"

HINTS: Final[Mapping[int, str]] = {
    401: "the token was refused: check that tenant_id, authority and graph_url belong to the same cloud",
    403: "the application may not read this: grant Sites.Read.All, or Sites.Selected for the site, with admin consent",
    404: "it may have been moved, renamed or deleted",
    423: "somebody has locked it: try again later",
    429: "SharePoint slows this application down: run again later, or read fewer files at once",
}


class Page(NamedTuple):
    """One page of a list."""

    items: Sequence[Mapping[str, Any]]
    """Each has an id."""
    delta_link: str
    """Where later changes are told; empty where it is not the last page of a delta."""


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

    def get(
        self, target: str, what: str, op: str, lacking: Callable[[Mapping[str, Any]], str] = lambda _: ""
    ) -> dict[str, Any]:
        """The JSON object at `target`: a path below the base, or an address that Graph gave, on its own host.

        Args:
            target: the path or the address.
            what: what is asked for, for errors.
            op: the name of the operation, for errors.
            lacking: says what an answer lacks that would otherwise be taken for whole; such a one is asked for again.

        Raises:
            ConnectorError: it cannot be had; `fields["status"]` is the status of the answer, where there was one.
        """
        url = self._address(target, what, op)

        def ask() -> dict[str, Any]:
            found = _json(self._answer(url, what, op)[1], what, op)
            if why := lacking(found):
                raise StrangeReplyError(f"{what}: {why}", op=op, hint=_PROXY)
            return found

        return self.web.retries.call(ask)

    def pages(self, target: str, what: str, op: str, *, is_delta: bool = False) -> Iterator[Page]:
        """The pages from `target` on, by the links that Graph gives, whatever they look like.

        Args:
            target: the first of them.
            what: what is asked for, for errors.
            op: the name of the operation, for errors.
            is_delta: whether the last page says where later changes are told.

        Raises:
            ConnectorError: a page cannot be had, or hides what else there is; or there is no end of them.
        """
        seen, known = set(), set[str]()
        fruitless = 0
        link = target
        while link:
            if link in seen:
                raise StrangeReplyError(f"{what}: the pages go round in a circle", op=op, hint=_PROXY)
            seen.add(link)
            told = self.get(link, what, op, lambda page: _lacking(page, is_delta=is_delta))
            items = told["value"]
            ids = {item["id"] for item in items}
            fruitless = 0 if ids - known else fruitless + 1
            if fruitless > FRUITLESS:
                raise StrangeReplyError(f"{what}: {fruitless} pages in a row tell of nothing new", op=op, hint=_PROXY)
            known |= ids
            link = told.get(NEXT_LINK) or ""
            yield Page(items, told.get(DELTA_LINK) or "")

    def location(self, target: str, what: str, op: str) -> str:
        """Where `target` redirects to; nothing is asked there."""
        url = self._address(target, what, op)
        headers, _ = self.web.retries.call(lambda: self._answer(url, what, op, redirects=True))
        return str(headers.get("location", ""))

    def _address(self, target: str, what: str, op: str) -> httpx.URL:
        if target.startswith("/"):
            return httpx.URL(f"{self._base}{target}")
        url = address(target, plain=self.plain)
        if url is None or not same_origin(url, self._base):
            raise ConnectorError(
                f"{what}: the link to the next page leads to {bare_address(target)[:200]!r}, which is not Graph",
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


def _lacking(page: Mapping[str, Any], *, is_delta: bool) -> str:
    """What is wrong with a page, so that items could be missed; empty for a good one."""
    items = page.get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return "the answer is no page of a list"
    if not all(isinstance(item.get("id"), str) and item["id"] for item in items):
        return "an item of the list has no id"
    if not all("deleted" in item or "root" in item or text_of(item, "name") for item in items):
        return "an item of the list has no name"
    links = [page.get(name) for name in (NEXT_LINK, DELTA_LINK)]
    if not all(link is None or isinstance(link, str) for link in links):
        return "the link to the next page is no text"
    if is_delta and not any(links):
        return "the list ends without saying that it does"
    return ""


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
    if "error" in found:
        told = _reason(body)
        why = f"status 200, and yet an error{f': {told}' if told else ''}"
        raise StrangeReplyError(f"{what}: {why}", op=op, hint=_PROXY)
    return found
