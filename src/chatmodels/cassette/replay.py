"""Answers from a recording, without the model."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatmodels.capabilities import listed
from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo, unshared
from fmf_core.errors import Code
from fmf_core.forks import in_forked_child
from fmf_core.redact import redact_value, shortened

if TYPE_CHECKING:
    from chatmodels.cassette.tape import RecordedCall

UNMATCHED = "record it again with RecordingModel, or make the request equal to the recorded one"
_FORMATS = {"json": "json_object", "json_schema": "json_schema"}
LONGEST_SHOWN = 200
"""How many characters of a prompt a message shows."""


class ReplayModel(ChatModel):
    """Answers from a recording, without a network and for nothing; blocking, awaited and streamed alike.

    Equal requests are answered in the order in which they were recorded, and from the first again when all were used.
    What was recorded whole can be streamed, and the other way round. Answers carry `cached=True` and cost 0.

    Args:
        path: the file that a `RecordingModel` wrote.
        hint: what the errors advise for a file that is not there and for a request that is not on record.

    Raises:
        FrameworkError: the file does not exist, or (as `ConfigurationError`) is no recording.
    """

    provider_name = "replay"
    in_process = True

    def __init__(self, path: str | Path, *, hint: str = "") -> None:
        from chatmodels.cassette.tape import read_tape  # with it comes much that only recordings need

        self.path = Path(path)
        self._hint = hint
        self._renew_lock()
        in_forked_child(self._renew_lock)
        self._calls: dict[str, list[RecordedCall]] = {}
        for call in read_tape(self.path, hint=hint):
            self._calls.setdefault(call.key, []).append(call)
        self._used: dict[tuple[str, bool], int] = {}

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def __contains__(self, request: ChatRequest) -> bool:
        """Whether `request` is on record."""
        return _key_of(request) in self._calls

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` as it was answered when it was recorded."""
        return unshared(self._next(request, streamed=False).response())

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` in the recorded pieces."""
        recorded = self._next(request, streamed=True)
        for chunk in recorded.chunks():
            yield unshared(chunk)
        recorded.raise_error()

    def get_model_info(self) -> ModelInfo:
        """What this replay is; it can do what is on record, so that it is asked in the same way as the model was."""
        known = {word for calls in self._calls.values() for word in _asked_for(calls[0].request)}
        return ModelInfo(name=self.path.name, provider="replay", capabilities=listed({"chat", "stream", *known}))

    def check_health(self) -> HealthStatus:
        """Healthy: the recording was read when the model was made."""
        calls = sum(map(len, self._calls.values()))
        return HealthStatus(status="healthy", detail=f"{calls} recorded calls")

    def _next(self, request: ChatRequest, *, streamed: bool) -> RecordedCall:
        key = _key_of(request)
        calls = self._calls.get(key)
        if not calls:
            raise self._unmatched(request)
        # A call in pieces and a whole one may both be on record; each is answered by its own kind where there is one.
        same_kind = [call for call in calls if call.streamed is streamed] or calls
        with self._lock:
            number = self._used.get((key, streamed), 0)
            self._used[(key, streamed)] = number + 1
        return same_kind[number % len(same_kind)]

    def _unmatched(self, request: ChatRequest) -> ChatModelError:
        from chatmodels.cassette.difference import difference
        from chatmodels.cassette.tape import request_on_tape

        diff = difference(request_on_tape(request), [calls[0].request for calls in self._calls.values()])
        return ChatModelError(
            f"the prompt {shortened(request.prompt, LONGEST_SHOWN)!r} is not on record in {self.path}\n{diff}\n",
            op="replay.complete",
            code=Code.NOT_FOUND,
            hint=self._hint or UNMATCHED,
            fields={"prompt": redact_value(request.prompt), "diff": diff},
        )


def _key_of(request: ChatRequest) -> str:
    from chatmodels.cassette.tape import tape_key

    return tape_key(request)


def _asked_for(request: Mapping[str, Any]) -> Iterator[str]:
    """The capabilities that a request on the tape needs, beyond an answer in words."""
    kind = (request.get("response_format") or {}).get("type")
    yield from (word for word, wanted in _FORMATS.items() if wanted == kind)
    if request.get("tools"):
        yield "tools"
    if any(part.get("type") == "image" for turn in request.get("messages", ()) for part in _parts(turn)):
        yield "images"


def _parts(turn: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = turn.get("content")
    return content if isinstance(content, list) else ()
