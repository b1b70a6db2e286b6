"""The file of recorded calls: what stands in it, how it is written and how it is read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from chatmodels.cassette.on_tape import Originals, blanked_of, key_of, on_tape
from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.pieces import joined, pieces_of
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse
from fmf_core.errors import Code, ConfigurationError, FrameworkError
from fmf_core.forks import Lock
from fmf_core.redact import redact, redact_value

YAML_SUFFIXES = (".yaml", ".yml")
DOCUMENT = "---"
RECORD_AGAIN = "make room, and record the calls again"
_MOMENTARY = {"latency_ms", "rate_limit"}
_PIECE = re.compile(r"\s*\S+\s*|\s+")


class TapeWriter:
    """One file that calls are added to, whole ones from any thread."""

    def __init__(self, path: Path, *, append: bool) -> None:
        self._path = path
        self._append = append
        self._lock = Lock()
        self._failed = False
        self._checked = not append
        self._originals = Originals(path)

    def begin(self, request: ChatRequest) -> Mapping[str, Any]:
        """What of `request` will be written; makes sure, before the call is paid, that it can be.

        The folders are made, but no file.

        Raises:
            ConfigurationError: no file can be written, an earlier call could not, so that the file is not whole, or
                what the file holds is no recording that could be added to.
            ChatModelError: something in the request is no JSON, or only a secret tells it from an earlier one.
        """
        if self._failed:
            raise ConfigurationError(
                f"the recording {self._path} is not whole: an earlier call could not be written",
                op="recording.write",
                hint=RECORD_AGAIN,
            )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                self._path.open("ab").close()
            else:
                from tempfile import TemporaryFile

                TemporaryFile(dir=self._path.parent).close()
        except OSError as error:
            raise ConfigurationError(
                f"no recording can be written to {self._path}: {error}",
                op="recording.open",
                hint="name a file in a folder that you may write to",
            ) from error
        if not self._checked:
            if self._path.is_file():
                read_tape(self._path)
            self._checked = True
        asked = on_tape(request)
        self._originals.check(asked, "recording.request")
        return asked.facts

    def write(
        self,
        request: Mapping[str, Any],
        *,
        response: ChatResponse | None = None,
        chunks: Sequence[ChatChunk] | None = None,
        error: FrameworkError | None = None,
    ) -> None:
        """Add one call: its request, and its response, its pieces or its error.

        Raises:
            FrameworkError: it cannot be written; `fields` holds the answer, as `response`. The file holds the calls
                before this one, and no more will be added.
        """
        try:
            self._add(self._text_of(request, response, chunks, error))
        except (OSError, ValueError, TypeError, RecursionError) as failure:
            self._failed = True
            # Not a code that is tried again: the call was answered, and would be paid once more.
            raise FrameworkError(
                f"the call was made, but cannot be written to {self._path}: {failure}",
                op="recording.write",
                code=Code.INVALID,
                hint=f"the answer stands in error.fields['response']; {RECORD_AGAIN}",
                fields=_kept(response, chunks),
            ) from failure

    def _text_of(
        self,
        request: Mapping[str, Any],
        response: ChatResponse | None,
        chunks: Sequence[ChatChunk] | None,
        error: FrameworkError | None,
    ) -> str:
        call: dict[str, Any] = {"request": request}
        if response is not None:
            facts = response.model_dump(mode="json", exclude_defaults=True, exclude=_MOMENTARY)
            call["response"] = blanked_of(facts)
        if chunks is not None:
            call["chunks"] = _chunks_on_tape(chunks)
        if error is not None:
            call["error"] = redact_value(_error_facts(error))
        return _as_yaml(call) if self._path.suffix in YAML_SUFFIXES else json.dumps(call, ensure_ascii=False) + "\n"

    def _add(self, text: str) -> None:
        # What UTF-8 cannot hold is written as `\udXXX`, which means the same in JSON and in quoted YAML.
        data = text.encode("utf-8", "backslashreplace")
        with self._lock():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab" if self._append else "wb", buffering=0) as file:
                self._append = True
                _write(file, data if _ends_a_line(self._path) else b"\n" + data)


def _ends_a_line(path: Path) -> bool:
    """Whether what the file holds ends with a line break; some editors take the last one away."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        return file.read(1) in (b"", b"\n")


def _write(file: FileIO, data: bytes) -> None:
    """Write all of `data`, or take back what was written of it: half a call would spoil the others."""
    start, rest = os.fstat(file.fileno()).st_size, memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        with suppress(OSError):
            if os.fstat(file.fileno()).st_size == start + len(data) - len(rest):
                file.truncate(start)
        raise


class RecordedCall:
    """One call on record.

    Args:
        call: what stands there.
        path: the file in which it stands.
        line: the line on which it begins.
    """

    def __init__(self, call: Mapping[str, Any], path: Path, line: int) -> None:
        self._place = f"{path}:{line}"
        self._origin = f"replayed from {path}, line {line}: delete it there, or record it again"
        if not {"response", "chunks", "error"} & set(call):
            raise ValueError("it has no response, chunks or error")
        self.request: Mapping[str, Any] = call["request"]
        if not all(isinstance(part, Mapping) for part in (self.request, *self.request.get("messages", ()))):
            raise TypeError("its request is no mapping with messages")
        if not all(isinstance(part, Mapping) for part in _parts_of(self.request)):
            raise TypeError("its response format or a part of its messages is no mapping")
        self.key = key_of(self.request)
        self.streamed = "chunks" in call
        self._chunks = [_chunk(piece) for piece in call.get("chunks", ())]
        self._error: Mapping[str, Any] | None = call.get("error")
        if self._error is not None:
            _error(self._error)  # now, not when it is to be raised, it must turn out to be one
        self._response: ChatResponse | None = None
        if "response" in call:
            self._response = _unpaid(ChatResponse.model_validate(call["response"]))

    def response(self) -> ChatResponse:
        """The whole answer."""
        self.raise_error()
        if self._response is None:
            self._response = _unpaid(self._joined())
        return self._response

    def _joined(self) -> ChatResponse:
        fault = "it has no end: usage or finish reason is missing"
        try:
            whole = joined(self._chunks)
        except ValueError:
            whole, fault = None, "there is nothing in it, although the model finished"
        if whole is None:
            raise ChatModelError(
                f"the stream recorded at {self._place} is no answer: {fault}",
                op="replay.complete",
                code=Code.BAD_REPLY,
                hint="record the call again",
            )
        return whole

    def chunks(self) -> list[ChatChunk]:
        """The pieces; what was recorded whole is one piece."""
        return self._chunks if self._response is None or self._chunks else pieces_of(self._response)

    def raise_error(self) -> None:
        """Raise the recorded error, if there is one; its hint says first that nobody was asked now."""
        if self._error is not None:
            error = _error(self._error)
            error.hint = f"{self._origin} (the recorded hint: {error.hint})" if error.hint else self._origin
            raise error


def read_tape(path: Path, *, hint: str = "") -> list[RecordedCall]:
    """The calls on record in `path`; `hint` advises where there is no such file.

    Raises:
        FrameworkError: there is no such file, or (as `ConfigurationError`) it holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FrameworkError(
            f"the recording {path} does not exist",
            op="replay.open",
            code=Code.NOT_FOUND,
            hint=hint or "make it with RecordingModel(model, path)",
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the recording {path} cannot be read: {error}", op="replay.open") from error
    in_yaml = path.suffix in YAML_SUFFIXES
    recorded = []
    for line, part in _documents(text) if in_yaml else _lines(text):
        try:
            call = _from_yaml(part, path.name) if in_yaml else json.loads(part)
            recorded.append(RecordedCall(call, path, line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigurationError(
                f"{path}:{line} is no recorded call: {redact(str(error))}",
                op="replay.open",
                hint="record the calls again",
            ) from error
    return recorded


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(), which also cuts at characters that JSON leaves inside its texts.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _documents(text: str) -> Iterator[tuple[int, str]]:
    start, part = 1, []
    for number, line in enumerate([*text.split("\n"), DOCUMENT], start=1):
        if line.rstrip() != DOCUMENT:
            part.append(line)
            continue
        if any(line.strip() for line in part):
            yield start, "\n".join(part)
        start, part = number + 1, []


def _from_yaml(text: str, source: str) -> Any:
    from fmf_core.yaml_text import load_yaml

    return load_yaml(text, source=source).data


def _as_yaml(call: Mapping[str, Any]) -> str:
    from chatmodels.cassette.yaml_tape import as_yaml

    return f"{DOCUMENT}\n{as_yaml(call)}"


def _kept(response: ChatResponse | None, chunks: Sequence[ChatChunk] | None) -> dict[str, Any]:
    """The answer that nobody else has, and what it took, as an error tells them."""
    if response is None and chunks is not None:
        with suppress(ValueError):
            response = joined(chunks)
    if response is None:
        return {}
    return {"response": response, "usage": response.usage, "cost_usd": response.cost_usd}


def _chunks_on_tape(chunks: Sequence[ChatChunk]) -> list[Any]:
    """Each piece as its bare text where it has nothing else; a secret is blanked also where a cut runs through it."""
    pieces = [chunk.model_dump(mode="json", exclude_defaults=True, exclude=_MOMENTARY) for chunk in chunks]
    text = "".join(chunk.text for chunk in chunks)
    blanked = redact(text)
    if blanked != text:
        others = [{**piece, "text": ""} for piece in pieces if set(piece) != {"text"}]
        pieces = [{"text": piece} for piece in _PIECE.findall(blanked)] + others
    return [piece["text"] if set(piece) == {"text"} else blanked_of(piece) for piece in pieces]


def _parts_of(request: Mapping[str, Any]) -> Iterator[Any]:
    """The response format and the parts of the messages, where they have parts."""
    if request.get("response_format") is not None:
        yield request["response_format"]
    for turn in request.get("messages", ()):
        if isinstance(turn.get("content"), list):
            yield from turn["content"]


def _chunk(piece: object) -> ChatChunk:
    if isinstance(piece, str):
        return ChatChunk(text=piece)
    chunk = ChatChunk.model_validate(piece)
    return chunk if chunk.usage is None else chunk.model_copy(update={"cached": True})


def _unpaid(response: ChatResponse) -> ChatResponse:
    return response.model_copy(update={"cached": True, "cost_usd": 0.0})


def _error_facts(error: FrameworkError) -> dict[str, Any]:
    facts = {
        "code": str(error.code),
        "op": error.op,
        "message": error.message,
        "hint": error.hint,
        "retry_after": error.retry_after,
        "fields": {name: value for name, value in error.fields.items() if _is_plain(value)},
    }
    return {name: value for name, value in facts.items() if value not in (None, "", {})}


def _error(facts: Mapping[str, Any]) -> ChatModelError:
    more = {name: facts[name] for name in ("op", "hint", "retry_after", "fields") if name in facts}
    return chat_model_error(facts["message"], code=Code(facts["code"]), **{"op": "", **more})


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
