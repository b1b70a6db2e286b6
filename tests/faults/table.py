"""The fault table: everything that is known to go wrong between a chat model and its server."""

from __future__ import annotations

from faults import acts
from faults.acts import (
    ANSWER,
    COUNTED,
    DONE,
    EVENTS,
    SPOKEN,
    STREAM,
    body,
    completion,
    cut,
    delta,
    event,
    refuses,
    says,
    stream,
)
from faults.fault import LATE_S, Fault, answers, fails, fault, of_stream
from fmf_core.errors import Code
from peers.raw_server import chunked, ok, packed

MB = 1 << 20
LATE = {"timeout_s": LATE_S}
RAISE = "raise timeout_s"
LARGE = "larger than"
BROKE_OFF = "the stream ended before the answer did"
SOME = "All is "
"""What a stream had said when it broke off in its middle."""

REFUSALS = (
    fault("429 without Retry-After", refuses("429 Busy"), both=fails(Code.RATE_LIMIT, says="answered 429")),
    fault(
        "429, Retry-After in seconds",
        refuses("429 Busy", "retry-after: 1"),
        acts.good,
        both=answers(2),
        at_least_s=0.95,
    ),
    fault("429, Retry-After as a date", acts.refuses_until("429 Busy", 2), acts.good, both=answers(2), at_least_s=0.9),
    fault(
        "429, retry-after-ms", refuses("429 Busy", "retry-after-ms: 150"), acts.good, both=answers(2), at_least_s=0.14
    ),
    fault("429, Retry-After that is none", refuses("429 Busy", "retry-after: soon"), both=fails(Code.RATE_LIMIT)),
    fault(
        "429, Retry-After beyond max_wait_s",
        refuses("429 Busy", "retry-after: 3600"),
        both=fails(Code.RATE_LIMIT, 1),
    ),
    fault(
        "429, the account is out of money",
        refuses("429 Busy", code="insufficient_quota"),
        both=fails(Code.BUDGET, hint="billing"),
    ),
    fault("500", refuses("500 Broken"), both=fails(Code.UNAVAILABLE, says="answered 500")),
    fault("502 with a web page", says(ok(b"<html>Bad gateway</html>", status="502 Bad")), both=fails(Code.UNAVAILABLE)),
    fault("503", refuses("503 Down"), both=fails(Code.UNAVAILABLE)),
    fault("503, Retry-After", refuses("503 Down", "retry-after: 1"), acts.good, both=answers(2), at_least_s=0.95),
    fault("504", refuses("504 Late"), both=fails(Code.UNAVAILABLE)),
    fault("529, overloaded", refuses("529 Overloaded"), both=fails(Code.UNAVAILABLE)),
    fault("408", refuses("408 Slow"), both=fails(Code.TIMEOUT)),
    fault("409", refuses("409 Conflict"), both=fails(Code.UNAVAILABLE)),
    fault("400", refuses("400 Bad", param="temperature"), both=fails(Code.INVALID, says="answered 400")),
    fault("400, refused by a content filter", refuses("400 Bad", code="content_filter"), both=fails(Code.REFUSED)),
    fault("401, the key repeated", refuses("401 Who"), both=fails(Code.AUTH, hint="OPENAI_API_KEY")),
    fault("402", refuses("402 Pay"), both=fails(Code.BUDGET, hint="billing")),
    fault("403", refuses("403 No"), both=fails(Code.AUTH, hint="OPENAI_API_KEY")),
    fault("404", refuses("404 None", code="model_not_found"), both=fails(Code.NOT_FOUND, hint="the model's name")),
    fault("413", refuses("413 Large"), both=fails(Code.INVALID)),
    fault("422", refuses("422 Wrong"), both=fails(Code.INVALID)),
    fault("503 twice, then an answer", *[refuses("503 Down")] * 2, acts.good, both=answers(3)),
    fault(
        "503 three times, then an answer, four attempts",
        *[refuses("503 Down")] * 3,
        acts.good,
        both=answers(4),
        settings={"retry": {"max_attempts": 4}},
    ),
    fault(
        "503, one attempt",
        refuses("503 Down"),
        both=fails(Code.UNAVAILABLE, 1),
        settings={"retry": {"max_attempts": 1}},
    ),
    fault("409, then an answer", refuses("409 Conflict"), acts.good, both=answers(2)),
    fault("reset, then 429, then an answer", cut(acts.reset), refuses("429 Busy"), acts.good, both=answers(3)),
    fault("503, then 400", refuses("503 Down"), refuses("400 Bad"), both=fails(Code.INVALID, 2)),
)

CONNECTIONS = (
    fault(
        "connection refused",
        acts.good,
        both=fails(Code.UNAVAILABLE, requests=0, hint="is the server up"),
        listens=False,
    ),
    fault(
        "no such host",
        acts.good,
        both=fails(Code.UNAVAILABLE, requests=0, says="cannot be reached", hint="name"),
        at="http://no-such-host.invalid/v1",
    ),
    fault(
        "https:// to a server without TLS",
        acts.good,
        both=fails(Code.INVALID, 0, requests=0, hint="http://"),
        greeting=acts.does_not_understand,
        at="https://127.0.0.1:{port}/v1",
    ),
    *(
        fault(
            name,
            acts.good,
            both=fails(Code.INVALID, 0, requests=0, says="not trusted", hint=hint),
            certificate=certificate,
            at="https://127.0.0.1:{port}/v1",
        )
        for name, certificate, hint in (
            ("self-signed certificate", "self_signed", "ca_bundle"),
            ("certificate for another host", "wrong_host", "the host that the certificate is for"),
            ("expired certificate", "expired", "renewed"),
        )
    ),
    fault(
        "TLS that never stands",
        acts.good,
        both=fails(Code.TIMEOUT, requests=0, says="no connection", hint="connect_timeout_s"),
        greeting=lambda peer: peer.wait_for_end(),
        at="https://127.0.0.1:{port}/v1",
        settings={"connect_timeout_s": LATE_S},
    ),
    fault(
        "accepted, then silent",
        acts.good,
        both=fails(Code.TIMEOUT, requests=0, hint=RAISE),
        greeting=lambda peer: peer.wait_for_end(),
        settings=LATE,
    ),
    fault("closed as soon as it stands", acts.good, both=fails(Code.UNAVAILABLE, requests=0), greeting=acts.close),
)

BREAKS = (
    fault("reset before any byte", cut(acts.reset), both=fails(Code.UNAVAILABLE, says="without an answer")),
    fault("reset in the head", cut(acts.reset, head=20), both=fails(Code.UNAVAILABLE, says="in the middle")),
    fault("reset in the body", cut(acts.reset, of_body=10), both=fails(Code.UNAVAILABLE, says="in the middle")),
    fault("closed before any byte", cut(acts.close), both=fails(Code.UNAVAILABLE, says="without an answer")),
    fault("closed in the head", cut(acts.close, head=20), both=fails(Code.UNAVAILABLE, says="in the middle")),
    fault("closed before content-length", cut(acts.close, of_body=10), both=fails(Code.UNAVAILABLE)),
    fault("closed in a chunk", cut(acts.close, of_body=20, in_chunks=True), both=fails(Code.UNAVAILABLE)),
    fault("kept connection closed between two calls", acts.good, both=answers(), before=acts.then_close),
    fault("kept connection closed at the next request", cut(acts.close), acts.good, both=answers(2), before=acts.good),
    fault("half-closed without an answer", acts.half_closes(answers=False), both=fails(Code.UNAVAILABLE)),
    fault("half-closed behind the answer", acts.half_closes(answers=True), both=answers()),
)

PACE = (
    fault("no first byte in time", acts.silent, both=fails(Code.TIMEOUT, hint=RAISE), settings=LATE),
    fault(
        "no first byte within first_byte_timeout_s",
        acts.silent,
        both=fails(Code.TIMEOUT, says="no first byte", hint="first_byte_timeout_s"),
        settings={"first_byte_timeout_s": LATE_S},
    ),
    fault("byte by byte, too slowly", acts.drips, both=fails(Code.TIMEOUT, hint=RAISE), settings=LATE),
    fault(
        "endless body, slowly",
        acts.endless(b"1\r\n \r\n", head=chunked(headers="content-type: application/json\r\n")[:-5], pause_s=0.02),
        both=fails(Code.TIMEOUT),
        settings=LATE,
    ),
    fault(
        "endless body, fast",
        acts.endless(
            b"10000\r\n%b\r\n" % (b" " * (1 << 16)), head=chunked(headers="content-type: text/plain\r\n")[:-5]
        ),
        both=fails(Code.BAD_REPLY, says=LARGE),
    ),
)

NO_HTTP = (
    fault(
        "garbage instead of HTTP", says(b"\x00\xff\x13garbage\r\n\r\n" * 9), both=fails(Code.BAD_REPLY, hint="base_url")
    ),
    fault("another protocol", says(b"SSH-2.0-OpenSSH_9.9\r\n"), both=fails(Code.BAD_REPLY, hint="base_url")),
    fault(
        "a chunk size that is none",
        says(chunked(b"{}").replace(b"\r\n2\r\n", b"\r\nzz\r\n")),
        both=fails(Code.BAD_REPLY),
    ),
    fault(
        "a content-length that is none",
        says(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}"),
        both=fails(Code.BAD_REPLY),
    ),
    fault(
        "a head of 1 MB", says(ok(b"{}", *[f"x-{n}: {'x' * 1000}" for n in range(1000)])), both=fails(Code.BAD_REPLY)
    ),
    fault("a header of 1 MB", says(ok(b"{}", f"x-long: {'x' * MB}")), both=fails(Code.BAD_REPLY, says="bytes of head")),
    fault(
        "an endless head",
        acts.endless(b"x-more: x\r\n" * 1000, head=b"HTTP/1.1 200 OK\r\n"),
        both=fails(Code.BAD_REPLY, says="bytes of head"),
    ),
    fault(
        "100 Continue, then the answer",
        lambda peer, request: peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + acts.reply_to(request)),
        both=answers(),
    ),
    fault(
        "redirect to another host",
        acts.redirects_elsewhere,
        both=fails(Code.INVALID, says="redirects to", hint="base_url"),
    ),
    fault(
        "redirect to itself",
        says(ok(b"", "location: /v1/chat/completions", status="308 Here")),
        both=fails(Code.INVALID, says="redirects to", hint="base_url"),
    ),
)

NO_ANSWER = (
    fault("garbage JSON", body(b'{"choices": [}'), both=fails(Code.BAD_REPLY, says="no valid JSON")),
    fault("truncated JSON", body(completion()[:-20]), both=fails(Code.BAD_REPLY, says="no valid JSON")),
    fault("JSON nested 100,000 deep", body(b"[" * 100_000), both=fails(Code.BAD_REPLY, says="no valid JSON")),
    fault("JSON in UTF-16", body(completion().decode().encode("utf-16")), both=fails(Code.BAD_REPLY)),
    fault("invalid UTF-8 in the answer", body(completion().replace(b"well", b"\xff\xfe")), both=fails(Code.BAD_REPLY)),
    fault("a web page", acts.page, both=fails(Code.BAD_REPLY, says="web page")),
    fault("an empty body", body(b""), both=fails(Code.BAD_REPLY, says="empty")),
    fault("204", says(b"HTTP/1.1 204 No Content\r\n\r\n"), both=fails(Code.BAD_REPLY, says="204")),
    fault("an array", body(b"[1, 2]"), both=fails(Code.BAD_REPLY, says="not an object")),
    fault("no choices", body(b'{"object": "chat.completion"}'), both=fails(Code.BAD_REPLY, says="no choices")),
    fault("an empty list of choices", body(b'{"choices": []}'), both=fails(Code.BAD_REPLY, says="no choices")),
    fault("no message", body(completion(message=None)), both=fails(Code.BAD_REPLY, says="no message")),
    fault("a number as content", body(completion(message={"content": 42})), both=fails(Code.BAD_REPLY, says="int")),
    fault("an empty answer", body(completion(message={"content": ""})), both=fails(Code.BAD_REPLY, says="empty")),
    fault(
        "an empty answer cut by max_tokens",
        body(completion(message={"content": ""}, finish_reason="length")),
        both=answers(text=""),
    ),
    fault("stopped by a content filter", body(completion(finish_reason="content_filter")), both=fails(Code.REFUSED)),
    fault("a refusal", body(completion(message={"content": None, "refusal": "No."})), both=fails(Code.REFUSED)),
    fault(
        "a tool call with broken arguments",
        body(completion(message={"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]})),
        both=fails(Code.BAD_REPLY, says="arguments of tool call"),
    ),
    fault(
        "a number as tool calls",
        body(completion(message={"content": "Hi", "tool_calls": 5})),
        both=fails(Code.BAD_REPLY, says="tool calls is of type int"),
    ),
    fault("an error in a 200", body(b'{"error": {"message": "oops"}}'), both=fails(Code.BAD_REPLY, says="oops")),
    fault(
        "an overload in a 200",
        body(b'{"error": {"message": "overloaded", "code": 503}}'),
        both=fails(Code.UNAVAILABLE, says="overloaded"),
    ),
    fault("a body of 100 MB", acts.huge(100 * MB, in_chunks=False), both=fails(Code.BAD_REPLY, says=LARGE)),
    fault("a body of 100 MB in chunks", acts.huge(100 * MB, in_chunks=True), both=fails(Code.BAD_REPLY, says=LARGE)),
    fault(
        "100 MB packed into 100 KB",
        body(packed(b" " * 100 * MB), "content-encoding: gzip"),
        both=fails(Code.BAD_REPLY, says="times as large as it was sent"),
    ),
    fault(
        "gzip that is none",
        body(completion(), "content-encoding: gzip"),
        both=fails(Code.BAD_REPLY, says="decompressed"),
    ),
    fault(
        "gzip that is cut",
        body(packed(completion())[:-20], "content-encoding: gzip"),
        both=fails(Code.BAD_REPLY, says="ends too early"),
    ),
    fault(
        "a compression that nobody asked for",
        body(b"x", "content-encoding: br"),
        both=fails(Code.BAD_REPLY, says="'br'"),
    ),
)

STREAMS = (
    of_stream("closed before the first text", stream(SPOKEN[0], whole=False), gets=fails(Code.UNAVAILABLE)),
    of_stream("closed in the middle", stream(*SPOKEN[:3], whole=False), gets=fails(Code.UNAVAILABLE, 1, text=SOME)),
    of_stream(
        "reset in the middle",
        cut(acts.reset, of_body=len(b"".join(SPOKEN[:3]))),
        gets=fails(Code.UNAVAILABLE, 1, text=SOME),
    ),
    of_stream("over in the middle", stream(*SPOKEN[:3]), gets=fails(Code.UNAVAILABLE, 1, text=SOME, says=BROKE_OFF)),
    of_stream(
        "[DONE] in the middle", stream(*SPOKEN[:3], DONE), gets=fails(Code.UNAVAILABLE, 1, text=SOME, says=BROKE_OFF)
    ),
    of_stream("no [DONE] behind finish_reason", stream(*SPOKEN, delta("", "stop"), COUNTED), gets=answers()),
    of_stream("no event at all", stream(), gets=fails(Code.UNAVAILABLE, says=BROKE_OFF)),
    of_stream(
        "503, then closed in the middle",
        refuses("503 Down"),
        stream(*SPOKEN[:3], whole=False),
        gets=fails(Code.UNAVAILABLE, 2, text=SOME),
    ),
    of_stream(
        "an error in the middle",
        stream(*SPOKEN[:3], event({"error": {"message": "oops", "code": 500}})),
        gets=fails(Code.UNAVAILABLE, 1, text=SOME, says="oops"),
    ),
    of_stream(
        "an error before the first text",
        stream(SPOKEN[0], event({"error": {"message": "oops", "code": 500}})),
        gets=fails(Code.UNAVAILABLE, says="oops"),
    ),
    of_stream("no token counts", stream(*SPOKEN, delta("", "stop"), DONE), gets=answers()),
    of_stream(
        "invalid UTF-8 in an event", stream(*SPOKEN[:3], event(b'{"x": "\xff"}')), gets=fails(Code.BAD_REPLY, text=SOME)
    ),
    of_stream("garbage in an event", stream(*SPOKEN[:3], event(b"{]")), gets=fails(Code.BAD_REPLY, text=SOME)),
    of_stream("an event without choices", stream(*SPOKEN[:3], event(b"{}")), gets=fails(Code.BAD_REPLY, text=SOME)),
    of_stream(
        "a number as text of an event",
        stream(*SPOKEN[:3], event({"choices": [{"delta": {"content": 42}}]})),
        gets=fails(Code.BAD_REPLY, text=SOME, says="int"),
    ),
    of_stream("cut at every byte", stream(*(bytes([byte]) for byte in STREAM)), gets=answers()),
    of_stream("lines that end with CRLF", stream(STREAM.replace(b"\n", b"\r\n")), gets=answers()),
    of_stream(
        "comments between the events",
        stream(*(b": ping\n\n" + said for said in SPOKEN), STREAM[len(b"".join(SPOKEN)) :]),
        gets=answers(),
    ),
    of_stream("an event of 8 MB", stream(delta("x" * 8 * MB), delta("", "stop")), gets=answers(text="x" * 8 * MB)),
    of_stream(
        "a line without end",
        acts.endless(
            b"100000\r\n%b\r\n" % (b"x" * MB), head=chunked(headers=f"{EVENTS}\r\n")[:-5] + b"6\r\ndata: \r\n"
        ),
        gets=fails(Code.BAD_REPLY, says=LARGE),
    ),
    of_stream(
        "an answer without end",
        acts.endless(
            chunked(SPOKEN[1]).partition(b"\r\n\r\n")[2][:-5], head=chunked(headers=f"{EVENTS}\r\n")[:-5], pause_s=0.02
        ),
        gets=fails(Code.TIMEOUT, 1, text="All "),
        settings=LATE,
    ),
    of_stream(
        "a pause longer than between_bytes_timeout_s",
        acts.then_silent(chunked(*SPOKEN[:3], headers=f"{EVENTS}\r\n")[:-5]),
        gets=fails(Code.TIMEOUT, 1, text=SOME, says="nothing more came", hint="between_bytes_timeout_s"),
        settings={"between_bytes_timeout_s": LATE_S},
    ),
    of_stream(
        "a pause before the first text",
        acts.then_silent(chunked(SPOKEN[0], headers=f"{EVENTS}\r\n")[:-5]),
        gets=fails(Code.TIMEOUT, says="nothing more came"),
        settings={"between_bytes_timeout_s": LATE_S},
    ),
    of_stream(
        "stopped by a content filter behind some text",
        stream(*SPOKEN, delta("", "content_filter"), DONE),
        gets=fails(Code.REFUSED, text=ANSWER),
    ),
    of_stream("cut by max_tokens", stream(*SPOKEN[:3], delta("", "length"), DONE), gets=answers(text=SOME)),
)

GROUPS: dict[str, tuple[Fault, ...]] = {
    "Refusals": REFUSALS,
    "No connection": CONNECTIONS,
    "Connections that break": BREAKS,
    "Too slow, or without end": PACE,
    "No HTTP, or another address": NO_HTTP,
    "Replies that are no answer": NO_ANSWER,
    "Streams": STREAMS,
}
FAULTS: tuple[Fault, ...] = tuple(fault for faults in GROUPS.values() for fault in faults)
