"""How jobs, documents and lines look on the way between the process that asks and the one that reads."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from fmf.artefacts.lines import encode_line
from fmf.artefacts.rows import document_row
from fmf.errors import ProcessingError
from fmf.processing.settled import traceback_of
from fmf.types import Document, ResourceRef, TableWish
from fmf_core.errors import Code, FrameworkError
from fmf_core.fingerprints import Fingerprint, Fingerprints
from fmf_core.logs import get_logger

log = get_logger("fmf.processing")

SETTINGS: Final = b"s"
SECRETS: Final = b"k"
JOB: Final = b"j"
OPEN: Final = b"o"
LINES: Final = b"l"
DONE: Final = b"d"
FORK: Final = b"f"
FORKED: Final = b"p"
ENDED: Final = b"e"
"""Kinds of messages."""

_COUNT_BYTES: Final = 4
_DOCUMENT: Final = tuple(field.name for field in dataclasses.fields(Document) if field.name not in {"error", "line"})
_REF: Final = tuple(field.name for field in dataclasses.fields(ResourceRef))


def job_to(ref: ResourceRef, *, want_text: bool = False, chunked: bool = True, table: TableWish | None = None) -> bytes:
    """What to read, and what of it is wanted: chunks, or rows of tables."""
    facts = {name: getattr(ref, name) for name in _REF}
    return _dumps(
        {"ref": facts, "want_text": want_text, "chunked": chunked, "table": table and dataclasses.asdict(table)}
    )


def job_from(body: bytes) -> dict[str, Any]:
    """The job that `job_to` made."""
    return _loads(body)  # type: ignore[no-any-return]


def ref_from(facts: Mapping[str, Any]) -> ResourceRef:
    """The resource of a job."""
    return ResourceRef(**{**facts, "modified_at": _time(facts["modified_at"])})


def table_from(facts: Mapping[str, Any] | None) -> TableWish | None:
    """The rows that a job asks for."""
    if facts is None:
        return None
    return TableWish(tuple(facts["columns"]), tuple(facts["sheets"]), facts["header_row"])


def lines_to(lines: bytes | bytearray, count: int) -> bytes:
    """Some lines of chunks and how many they are."""
    return count.to_bytes(_COUNT_BYTES, "little") + lines


def lines_from(body: bytes) -> tuple[bytes, int]:
    """The lines that `lines_to` packed and how many they are."""
    return body[_COUNT_BYTES:], int.from_bytes(body[:_COUNT_BYTES], "little")


def document_to(document: Document) -> bytes:
    """A document with what was wrong with it."""
    return _dumps(_facts(document))


def document_from(body: bytes) -> Document:
    """The document that `document_to` packed."""
    return _document(_loads(body))


def done_to(document: Document, peak_bytes: int, *, want_text: bool) -> bytes:
    """A document in its final state with its line of `docs.jsonl`, and the most memory that the process has held.

    The document brings its text only if that is wanted; the line has it in any case.
    """
    facts = _facts(document if want_text else replace(document, text=None))
    told = _dumps({**facts, "peak_bytes": peak_bytes})
    return len(told).to_bytes(_COUNT_BYTES, "little") + told + encode_line(document_row(document))


def done_from(body: bytes) -> tuple[Document, int]:
    """What `done_to` packed."""
    begin = _COUNT_BYTES
    end = begin + int.from_bytes(body[:begin], "little")
    facts = _loads(body[begin:end])
    return _document(facts, body[end:]), facts["peak_bytes"]


def fingerprints_to(found: Fingerprints) -> bytes:
    """Fingerprints of secrets."""
    of = [(each.beginning, each.length, base64.b64encode(each.digest).decode()) for each in found.of]
    return _dumps({"key": base64.b64encode(found.key).decode(), "of": of})


def fingerprints_from(body: bytes) -> Fingerprints:
    """The fingerprints that `fingerprints_to` packed."""
    facts = _loads(body)
    of = (Fingerprint(beginning, length, base64.b64decode(digest)) for beginning, length, digest in facts["of"])
    return Fingerprints(base64.b64decode(facts["key"]), tuple(of))


def _facts(document: Document) -> dict[str, Any]:
    facts: dict[str, Any] = {name: getattr(document, name) for name in _DOCUMENT}
    error = document.error
    if isinstance(error, FrameworkError):
        facts["error"] = {
            "message": error.message,
            "op": error.op,
            "code": error.code.value,
            "hint": error.hint,
            "fields": dict(error.fields),
            "cause": f"{type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else None,
            "traceback": traceback_of(error),
        }
    return facts


def _document(facts: dict[str, Any], line: bytes | None = None) -> Document:
    told = facts.get("error")
    values = {name: facts[name] for name in _DOCUMENT}
    values |= {"modified_at": _time(values["modified_at"]), "structure": tuple(values["structure"])}
    error = None
    if told is not None:
        error = ProcessingError(
            told["message"], op=told["op"], code=Code(told["code"]), hint=told["hint"], fields=told["fields"]
        )
        if told["cause"]:
            error.__cause__ = RuntimeError(told["cause"])
        if told["traceback"]:
            log.debug("processing.unexpected", uri=values["source_uri"], traceback=told["traceback"])
    return Document(**values, error=error, line=line)


def _time(said: Any) -> datetime | None:
    return datetime.fromisoformat(said) if isinstance(said, str) else said


def _dumps(value: Any) -> bytes:
    import orjson

    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half of a surrogate pair, or a number beyond what JSON knows
        return encode_line(value)


def _loads(body: bytes) -> Any:
    import orjson

    return orjson.loads(body)
