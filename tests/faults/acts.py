"""What a server can do to a request: each act is given the connection and the request that it has read."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any

from peers.raw_server import Peer, chunked, ok

ANSWER = "All is well."
WORDS = ("All ", "is ", "well.")
PAUSE_S = 0.02
"""Between bytes that must arrive apart, and before an end that must not overtake them."""
Act = Callable[[Peer, bytes], object]


# ---------------------------------------------------------------------------------------------------------- good ones


def _common(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_800_000_000, "model": "m"}


def completion(**changes: Any) -> bytes:
    """A well-formed answer; `changes` replace fields of its first choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop", **changes}
    return json.dumps({**_common("chat.completion"), "choices": [choice], "usage": USAGE}).encode()


def delta(text: str | None, finish_reason: str | None = None) -> bytes:
    """One event of a stream."""
    change = {"role": "assistant", "content": ""} if text is None else {"content": text} if text else {}
    return event({"choices": [{"index": 0, "delta": change, "finish_reason": finish_reason}]})


def event(payload: Mapping[str, Any] | bytes) -> bytes:
    """`payload` as a server-sent event."""
    data = (
        payload if isinstance(payload, bytes) else json.dumps({**_common("chat.completion.chunk"), **payload}).encode()
    )
    return b"data: " + data + b"\n\n"


USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
SPOKEN = (delta(None), *map(delta, WORDS))
COUNTED = event({"choices": [], "usage": USAGE})
DONE = event(b"[DONE]")
STREAM = b"".join((*SPOKEN, delta("", "stop"), COUNTED, DONE))
EVENTS = "content-type: text/event-stream"
JSON = "content-type: application/json"


def wants_stream(request: bytes) -> bool:
    """Whether `request` asks for a stream."""
    return b'"stream":true' in request


def good(peer: Peer, request: bytes) -> None:
    """Answer as one should."""
    peer.send(reply_to(request))


def reply_to(request: bytes) -> bytes:
    """A whole good reply, head and body."""
    return ok(STREAM, EVENTS) if wants_stream(request) else ok(completion(), JSON)


# ------------------------------------------------------------------------------------------------------------ replies


def says(data: bytes) -> Act:
    """Send these bytes."""
    return lambda peer, _: peer.send(data)


def refuses(status: str, *headers: str, message: str = "not now", **facts: Any) -> Act:
    """Answer with an error that repeats the caller's key, as some servers do."""

    def act(peer: Peer, request: bytes) -> None:
        error = {"message": f"{message} (you sent {_authorization(request)})", **facts}
        peer.send(ok(json.dumps({"error": error}).encode(), JSON, *headers, status=status))

    return act


def refuses_until(status: str, wait_s: int) -> Act:
    """Answer with an error and the date at which to come again."""
    return lambda peer, request: refuses(status, f"retry-after: {formatdate(time.time() + wait_s, usegmt=True)}")(
        peer, request
    )


def body(data: bytes, *headers: str) -> Act:
    """Answer 200 with this body; JSON unless a header says otherwise."""
    typed = any(header.lower().startswith("content-type") for header in headers)
    return says(ok(data, *headers, *(() if typed else (JSON,))))


def page(peer: Peer, request: bytes) -> None:
    """Answer 200 with a web page, the caller's key in it."""
    peer.send(
        ok(b"<html><body>Please log in, %b</body></html>" % _authorization(request).encode(), "content-type: text/html")
    )


def does_not_understand(peer: Peer) -> None:
    """Answer whatever comes as a server without TLS answers the beginning of TLS."""
    peer.socket.recv(4096)
    peer.send(ok(b"", "connection: close", status="400 Bad Request"))
    close(peer)


def redirects_elsewhere(peer: Peer, _: bytes) -> None:
    """Send the caller to another server."""
    peer.send(ok(b"", f"location: {peer.elsewhere}/v1/chat/completions", status="307 There"))


def stream(*events: bytes, whole: bool = True) -> Act:
    """Answer with a stream of these events; when it is not `whole`, close the connection behind them."""

    def act(peer: Peer, _: bytes) -> None:
        reply = chunked(*events, headers=f"{EVENTS}\r\n")
        peer.send(reply if whole else reply[: -len(b"0\r\n\r\n")])
        if not whole:
            close(peer)

    return act


def _authorization(request: bytes) -> str:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return next((line[15:] for line in lines if line.lower().startswith("authorization: ")), "nothing")


# ------------------------------------------------------------------------------------------------------------- breaks


def close(peer: Peer) -> None:
    """Close the connection in good order."""
    time.sleep(PAUSE_S)
    peer.socket.shutdown(2)
    peer.socket.close()


def reset(peer: Peer) -> None:
    """Break the connection off."""
    time.sleep(PAUSE_S)
    peer.reset()


def cut(end: Callable[[Peer], None], *, head: int = 0, of_body: int | None = None, in_chunks: bool = False) -> Act:
    """Send the first bytes of a good reply (of its head, or the head and some of its body), then end the connection."""

    def act(peer: Peer, request: bytes) -> None:
        reply = reply_to(request)
        if in_chunks:
            typed, data = (EVENTS, STREAM) if wants_stream(request) else (JSON, completion())
            reply = chunked(data, headers=f"{typed}\r\n")
        upto = head if of_body is None else reply.index(b"\r\n\r\n") + 4 + of_body
        peer.send(reply[:upto])
        end(peer)

    return act


def half_closes(*, answers: bool) -> Act:
    """Close the server's half of the connection, with or without an answer before, and go on listening."""

    def act(peer: Peer, request: bytes) -> None:
        if answers:
            good(peer, request)
        peer.socket.shutdown(1)
        peer.wait_for_end()

    return act


def then_close(peer: Peer, request: bytes) -> None:
    """Answer as one should, say nothing of closing, and close."""
    good(peer, request)
    close(peer)


# -------------------------------------------------------------------------------------------------------------- slow


def silent(peer: Peer, _: bytes) -> None:
    """Never say a word."""
    peer.wait_for_end()


def drips(peer: Peer, request: bytes) -> None:
    """Send a good reply byte by byte, each soon enough and the last one far too late."""
    for byte in reply_to(request):
        peer.send(bytes([byte]))
        time.sleep(PAUSE_S)


def then_silent(data: bytes) -> Act:
    """Send `data` and not a word more."""

    def act(peer: Peer, _: bytes) -> None:
        peer.send(data)
        peer.wait_for_end()

    return act


def in_pieces(pieces: Iterable[bytes], *, pause_s: float = 0.0) -> Act:
    """Send piece by piece, for as long as there are any and somebody listens."""

    def act(peer: Peer, _: bytes) -> None:
        for piece in pieces:
            peer.send(piece)
            time.sleep(pause_s)

    return act


def endless(piece: bytes, *, head: bytes, pause_s: float = 0.0) -> Act:
    """Send `head`, then `piece` for ever."""
    return lambda peer, request: in_pieces(itertools.chain([head], itertools.repeat(piece)), pause_s=pause_s)(
        peer, request
    )


def huge(size: int, *, in_chunks: bool) -> Act:
    """Answer with a body of `size` bytes."""
    piece = b" " * (1 << 20)

    def act(peer: Peer, _: bytes) -> None:
        framing = b"transfer-encoding: chunked" if in_chunks else b"content-length: %d" % size
        peer.send(b"HTTP/1.1 200 OK\r\n%b\r\n%b\r\n\r\n" % (JSON.encode(), framing))
        for _ in range(size // len(piece)):
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece) if in_chunks else piece)

    return act
