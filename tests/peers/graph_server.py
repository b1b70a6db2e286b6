"""A SharePoint library behind Microsoft Graph on loopback: site, delta, children, downloads, and their faults.

with GraphServer() as graph:
    graph.put("Policies/a.md", b"# a")
    ... graph_url=graph.url ...

Downloads come from a server of their own, which keeps a list of the requests that carried a token: it must stay empty.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

SITE_URL = "https://contoso.sharepoint.com/sites/hr"
SITE_ID = "contoso.sharepoint.com,11111111-2222,33333333-4444"
DRIVE = "b!drive-of-nobody"


@dataclass
class Item:
    """A file, a folder or a package of the library."""

    id: str
    name: str
    parent: Item | None
    content: bytes | None = None
    """None for folders and packages."""
    facet: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    changed: int = 0
    """When it was last changed, on the clock of the library."""
    hashes: dict[str, str] = field(default_factory=dict)
    size: int | None = None
    """Another size than the content has."""

    @property
    def path(self) -> str:
        above = self.parent.path if self.parent else ""
        return "/".join(filter(None, (above, self.name if self.parent else "")))

    @property
    def etag(self) -> str:
        return f'"{{{self.id}}},{self.version}"'


@dataclass
class Asked:
    """One request."""

    path: str
    query: str
    headers: dict[str, str]


Answer = tuple[int, dict[str, str], bytes]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients may leave whenever they like."""


class _Server:
    def __init__(self, answer: Callable[[Asked], Answer | bytes]) -> None:
        server = self
        self.answer = answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 1 << 16

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                given = {name.lower(): value for name, value in self.headers.items()}
                answer = server.answer(Asked(parts.path, parts.query, given))
                if isinstance(answer, bytes):  # bytes as they go over the wire, and the end of the connection
                    self.wfile.write(answer)
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self._thread.join(5)
        self.http.server_close()


class GraphServer:
    """One site with one library; start it as a context manager.

    Args:
        page: how many items a page of a listing has.
        tells_paths: whether the pages of a delta say where the parents are.
    """

    def __init__(self, *, page: int = 50, tells_paths: bool = False) -> None:
        self.page = page
        self.tells_paths = tells_paths
        self.valid: Callable[[str], bool] = lambda token: bool(token)
        """Whether a token is good."""
        self.delta_refused: tuple[int, str] | None = None
        """Status and code with which the delta of folders is refused."""
        self.denied: dict[str, tuple[int, str]] = {}
        """Paths of items that are refused, with status and code."""
        self.faults: list[Answer] = []
        """What the next requests to Graph get instead of an answer."""
        self.broken: list[int] = []
        """After how many bytes of its body each of the next downloads breaks off."""
        self.ranges = True
        """Whether the download host knows ranges."""
        self.host_faults: list[Answer] = []
        """What the next downloads get instead of bytes."""
        self.asked: list[Asked] = []
        self.downloads: list[Asked] = []
        self.with_token: list[str] = []
        """Requests for downloads that carried a token."""
        self.next_host: str | None = None
        """Where the links to next pages lead instead."""
        self.redirects = 0
        """How many times a download is redirected before it begins."""
        self.oldest = 0
        """The oldest point of the clock from which changes are still known."""
        self._clock = 0
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self.root = Item("01ROOT", "root", None, facet={"root": {}, "folder": {}})
        self.items: dict[str, Item] = {self.root.id: self.root}
        self.deleted: dict[str, int] = {}
        self._graph = _Server(self._locked)
        self._host = _Server(self._download)

    @property
    def url(self) -> str:
        """What to give as `graph_url`."""
        return f"{self._graph.url}/v1.0"

    def __enter__(self) -> Self:
        self._graph.start()
        self._host.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._graph.stop()
        self._host.stop()

    def put(self, path: str, content: bytes, **more: Any) -> Item:
        """Write a file, with its folders."""
        with self._lock:
            *folders, name = path.split("/")
            parent = self.root
            for part in folders:
                parent = self._child(parent, part) or self._add(part, parent, facet={"folder": {}})
            item = self._child(parent, name)
            if item is None:
                item = self._add(name, parent, content=content, facet={"file": {}})
            else:
                item.content, item.version = content, item.version + 1
                self._touch(item)
            for key, value in more.items():
                setattr(item, key, value)
            return item

    def folder(self, path: str, **facet: Any) -> Item:
        """Make a folder, or a package: `folder("Notes", package={"type": "oneNote"})`."""
        with self._lock:
            parent = self.root
            *above, name = path.split("/")
            for part in above:
                parent = self._child(parent, part) or self._add(part, parent, facet={"folder": {}})
            return self._add(name, parent, facet=facet or {"folder": {}})

    def move(self, path: str, name: str, parent: str | None = None) -> None:
        """Rename an item, or move it."""
        with self._lock:
            item = self._found(path)
            assert item is not None
            item.name = name
            if parent is not None:
                item.parent = self._found(parent)
            self._touch(item)

    def delete(self, path: str) -> None:
        """Delete an item with everything in it."""
        with self._lock:
            gone = self._found(path)
            assert gone is not None
            self._clock += 1
            for item in list(self.items.values()):
                if item is gone or item.path.startswith(f"{path}/"):
                    self.deleted[item.id] = self._clock
            for item_id in self.deleted:
                self.items.pop(item_id, None)

    def count(self, part: str) -> int:
        """How many requests to Graph had `part` in their path."""
        return sum(part in one.path for one in self.asked)

    def _add(self, name: str, parent: Item, **more: Any) -> Item:
        item = Item(f"01{next(self._ids):020}", name, parent, **more)
        self.items[item.id] = item
        self._touch(item)
        return item

    def _touch(self, item: Item) -> None:
        self._clock += 1
        item.changed = self._clock

    def _child(self, parent: Item, name: str) -> Item | None:
        return next((one for one in self.items.values() if one.parent is parent and one.name == name), None)

    def _found(self, path: str) -> Item | None:
        item: Item | None = self.root
        for part in filter(None, path.split("/")):
            item = self._child(item, part) if item else None
        return item

    def _locked(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            scheme, _, token = asked.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or not self.valid(token):
                return _refused(401, "InvalidAuthenticationToken")
            if self.faults:
                return self.faults.pop(0)
            return self._answer(asked)

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path.removeprefix("/v1.0")
        site = re.fullmatch(r"/sites/([^:]+)(?::/(.*))?", path)
        if path == f"/sites/{quote(SITE_ID, safe='')}/drives":
            drive = {"id": DRIVE, "name": "Documents", "webUrl": f"{SITE_URL}/Shared%20Documents"}
            return _json({"value": [{"id": "b!other", "name": "Other"}, drive]})
        if site and (site[1], site[2]) == ("contoso.sharepoint.com", "sites/hr"):
            return _json({"id": SITE_ID, "webUrl": SITE_URL})
        inside = path.removeprefix(f"/drives/{quote(DRIVE, safe='')}")
        if inside == path:
            return _refused(404, "itemNotFound")
        if match := re.fullmatch(r"/items/([^/]+)/children", inside):
            return self._children(self.items.get(unquote(match[1])), asked)
        match = re.fullmatch(r"/root(?::/(.*?))?(?::?/(delta|children)|:/(content))?", inside)
        if match is None:
            return _refused(400, "invalidRequest")
        item = self._found(unquote(match[1] or "", errors="surrogatepass"))
        if item is None:
            return _refused(404, "itemNotFound")
        if item.path in self.denied:
            return _refused(*self.denied[item.path])
        if match[2] == "delta":
            return self._delta(item, asked)
        if match[2] == "children":
            return self._children(item, asked)
        if match[3] == "content":
            return 302, {"location": self._address(item)}, b""
        return _json(self._told(item, paths=True, address=True))

    def _delta(self, folder: Item, asked: Asked) -> Answer:
        if self.delta_refused is not None:
            return _refused(*self.delta_refused)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        since, skip = int(query.get("token", 0)), int(query.get("$skiptoken", 0))
        if "token" in query and since < self.oldest:
            return _refused(410, "resyncRequired")
        told = [
            self._told(item, paths=self.tells_paths)
            for item in sorted(self.items.values(), key=lambda one: (one.changed * 7919) % 1009)
            if item.changed >= since and (item is folder or f"{item.path}/".startswith(f"{folder.path}/".lstrip("/")))
        ]
        told += [{"id": one, "deleted": {}} for one, when in self.deleted.items() if "token" in query and when > since]
        if "token" in query:
            told = [one for one in told if "deleted" in one or self.items[one["id"]].changed > since]
        return self._paged(told, skip, asked, query)

    def _children(self, folder: Item | None, asked: Asked) -> Answer:
        if folder is None or "folder" not in folder.facet:
            return _refused(404, "itemNotFound")
        if folder.path in self.denied:
            return _refused(*self.denied[folder.path])
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        told = [self._told(item, paths=True) for item in self.items.values() if item.parent is folder]
        return self._paged(told, int(query.get("$skiptoken", 0)), asked, {})

    def _paged(self, told: list[dict[str, Any]], skip: int, asked: Asked, query: dict[str, str]) -> Answer:
        page: dict[str, Any] = {"value": told[skip : skip + self.page]}
        here = f"{self.next_host or self._graph.url}{asked.path}"
        kept = f"token={query['token']}&" if "token" in query else ""
        if skip + self.page < len(told):
            # The link is opaque: encoded in a way of its own.
            page["@odata.nextLink"] = f"{here}?{kept}%24skiptoken={skip + self.page}"
        elif asked.path.endswith("delta"):
            page["@odata.deltaLink"] = f"{here}?token={self._clock}"
        return _json(page)

    def _told(self, item: Item, *, paths: bool, address: bool = False) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "eTag": item.etag,
            "cTag": item.etag,
            "lastModifiedDateTime": f"2026-01-01T00:00:{item.version % 60:02}Z",
            **item.facet,
        }
        if item.parent is not None:
            told["parentReference"] = {"driveId": DRIVE, "id": item.parent.id}
            if paths:
                above = quote(item.parent.path, errors="surrogatepass")
                told["parentReference"]["path"] = f"/drives/{DRIVE}/root:{above and f'/{above}'}"
        if item.content is not None:
            told["size"] = len(item.content) if item.size is None else item.size
            told["file"] = {"mimeType": "text/plain", "hashes": item.hashes}
            if address:
                told["@microsoft.graph.downloadUrl"] = self._address(item)
        return told

    def _address(self, item: Item) -> str:
        return f"{self._host.url}/hop/{self.redirects}/{item.id}?tempauth=of-nobody-{item.version}"

    def _download(self, asked: Asked) -> Answer | bytes:
        with self._lock:
            self.downloads.append(asked)
            if "authorization" in asked.headers or "cookie" in asked.headers:
                self.with_token.append(asked.path)
                return 401, {}, b"no token here"
            if self.host_faults:
                return self.host_faults.pop(0)
            _, _, hops, item_id = asked.path.split("/")
            if int(hops):
                return 302, {"location": f"/hop/{int(hops) - 1}/{item_id}", "set-cookie": "seen=1; Path=/"}, b""
            item = self.items.get(item_id)
            if item is None or item.content is None:
                return 404, {}, b""
            return self._bytes(item, asked)

    def _bytes(self, item: Item, asked: Asked) -> Answer | bytes:
        content = item.content or b""
        headers = {"etag": item.etag, "content-type": "application/octet-stream"}
        start, status = 0, 200
        match = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if match and self.ranges and asked.headers.get("if-range", item.etag) == item.etag:
            start, status = int(match[1]), 206
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if self.broken:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            begun = f"HTTP/1.1 {status} Broken\r\n{head}content-length: {len(body)}\r\n\r\n".encode()
            return begun + body[: self.broken.pop(0)]
        return status, headers, body


def throttled(seconds: str = "0") -> Answer:
    """An answer that asks to wait."""
    status, headers, body = _refused(429, "activityLimitReached")
    return status, {**headers, "retry-after": seconds}, body


def unavailable(status: int = 503) -> Answer:
    """An answer of a server that has no time."""
    return _refused(status, "serviceNotAvailable")


def _json(value: dict[str, Any], status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


def _refused(status: int, code: str) -> Answer:
    return _json({"error": {"code": code, "message": f"The request was refused: {code}."}}, status)


def many(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of many files in a few folders."""
    for number in range(count):
        yield f"Policies/{number % 7}/f{number:03}.txt", b"content of %d" % number
