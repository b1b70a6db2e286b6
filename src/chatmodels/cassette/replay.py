"""Answers from a recording, without the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatmodels.capabilities import listed
from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.pieces import unshared
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from fmf_core.errors import Code
from fmf_core.forks import Lock
from fmf_core.redact import redact_value, shortened

if TYPE_CHECKING:
    from chatmodels.cassette.on_tape import OnTape
    from chatmodels.cassette.tape import RecordedCall

UNMATCHED = "record it again with RecordingModel, or make the request equal to the recorded one"
_FORMATS = {"json": "json_object", "json_schema": "json_schema"}
LONGEST_SHOWN = 200
"""How many characters of a prompt a message shows."""


class ReplayModel(ChatModel):
    """Answers from a recording, without a network and for nothing; blocking, awaited and streamed alike.

    Equal requests are answered in the order in which they were recorded, and from the first again when all were used.
    What was recorded whole can be streamed, and the other way round. The model's name and the sampling settings must be
    those on record where the request gives them; what it leaves open does not count. Answers carry `cached=True` and
    cost 0. An error on record is raised again; its hint says from which line of which file it comes.

    Args:
        path: the file that a `RecordingModel` wrote.
        hint: what the errors advise for a file that is not there and for a request that is not on record.

    Raises:
        FrameworkError: the file does not exist, or (as `ConfigurationError`) is no recording.
    """

    provider_name = "replay"
    in_process = True

    def __init__(self, path: str | Path, *, hint: str = "") -> None:
        from chatmodels.cassette.on_tape import Originals  # with it comes much that only recordings need
        from chatmodels.cassette.tape import read_tape

        self.path = Path(path)
        self._hint = hint
        self._lock = Lock()
        self._calls: Sequence[RecordedCall] = read_tape(self.path, hint=hint)
        self._numbers: dict[str, list[int]] = {}
        """By key: the recorded calls, as their places on the tape."""
        for number, call in enumerate(self._calls):
            self._numbers.setdefault(call.key, []).append(number)
        self._used: dict[tuple[int, ...], int] = {}
        """By the calls that answer a request: how many of them were used."""
        self._originals = Originals(self.path)

    def __contains__(self, request: ChatRequest) -> bool:
        """Whether `request` is on record."""
        return bool(self._matching(self._asked(request)))

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` as it was answered when it was recorded."""
        return unshared(self._next(request).response())

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` in the recorded pieces."""
        recorded = self._next(request)
        for chunk in recorded.chunks():
            yield unshared(chunk)
        recorded.raise_error()

    def get_model_info(self) -> ModelInfo:
        """What this replay is; it can do what is on record, so that it is asked in the same way as the model was."""
        known = {word for call in self._calls for word in _asked_for(call.request)}
        return ModelInfo(name=self.path.name, provider="replay", capabilities=listed({"chat", "stream", *known}))

    def check_health(self) -> HealthStatus:
        """Healthy: the recording was read when the model was made."""
        return HealthStatus(status="healthy", detail=f"{len(self._calls)} recorded calls")

    def _next(self, request: ChatRequest) -> RecordedCall:
        asked = self._asked(request)
        self._originals.check(asked, "replay.complete")
        matching = self._matching(asked)
        if not matching:
            raise self._unmatched(request, asked)
        place = tuple(matching)
        with self._lock():
            number = self._used.get(place, 0)
            self._used[place] = number + 1
        return self._calls[matching[number % len(matching)]]

    def _matching(self, asked: OnTape) -> list[int]:
        """The numbers of the recorded calls that answer what is asked, in the order in which they were recorded."""
        return [number for number in self._numbers.get(asked.key, ()) if asked.agrees(self._calls[number].request)]

    @staticmethod
    def _asked(request: ChatRequest) -> OnTape:
        from chatmodels.cassette.on_tape import on_tape

        return on_tape(request)

    def _unmatched(self, request: ChatRequest, asked: OnTape) -> ChatModelError:
        from chatmodels.cassette.difference import difference

        recorded = {key: self._calls[numbers[0]] for key, numbers in self._numbers.items()}
        same = [self._calls[number] for number in self._numbers.get(asked.key, ())]
        compared = [asked.compared(call.request) for call in (same or recorded.values())]
        diff = difference(asked.compared(asked.facts), compared)
        return ChatModelError(
            f"the prompt {shortened(request.prompt, LONGEST_SHOWN)!r} is not on record in {self.path}\n{diff}\n",
            op="replay.complete",
            code=Code.NOT_FOUND,
            hint=self._hint or UNMATCHED,
            fields={"prompt": redact_value(request.prompt), "diff": diff},
        )


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
