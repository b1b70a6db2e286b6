"""The documents that an earlier run wrote down: read only if they are whole, and walked beside a listing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fmf.artefacts.lines import read_lines
from fmf.errors import ConfigError
from fmf.types import ResourceRef, Row
from fmf_core.redact import blank_known
from fmf_core.secret_shapes import MASK

_TEXT, _MAYBE_TEXT = (str,), (str, type(None))
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("doc_id", "source_uri", "resource_id", "status"), _TEXT),
    **dict.fromkeys(("media_type", "hash", "title", "text", "modified_at", "etag", "reason"), _MAYBE_TEXT),
    "bytes": (int, type(None)),
    "text_chars": (int,),
    "chunks": (int,),
    "metadata": (dict,),
    "structure": (list,),
}
_NEEDED: Final = ("doc_id", "source_uri", "resource_id", "status", "metadata", "hash", "bytes", "reason")
_MOST_ASIDE: Final = 10_000
"""So many rows are compared one by one with a document that none of them seems to be."""


def check_whole(path: Path, record: Row) -> None:
    """Refuse a file of lines that is not as long as the `run.yaml` of its run says, or that ends within a line.

    Raises:
        ConfigError: it is damaged.
    """
    told = next((each["bytes"] for each in record.get("artefacts") or () if each.get("path") == path.name), None)
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - 1, 0))
        is_cut = file.read() not in {b"", b"\n"}
    if is_cut or told not in {None, size}:
        expected = "its last line is cut off" if told in {None, size} else f"{size:,} bytes, and its run wrote {told:,}"
        raise _damaged(path, expected)


def read_documents(path: Path) -> Iterator[Row]:
    """The rows of a `docs.jsonl`, in their order, which is that of the ids they had before secrets were blanked.

    Raises:
        ConfigError: a row is none, or they are not sorted.
    """
    before = ""
    for number, row in enumerate(read_lines(path), 1):
        if not _is_document(row):
            raise _damaged(path, f"row {number} is no document")
        if not is_blanked(row):
            if row["resource_id"] < before:
                raise _damaged(path, f"it is not sorted: {row['resource_id']!r} stands behind {before!r}")
            before = row["resource_id"]
        yield row


def read_failed(path: Path) -> frozenset[str]:
    """The ids of the documents that an `errors.jsonl` tells of.

    Raises:
        ConfigError: a row of it is none.
    """
    failed: set[str] = set()
    rows: Iterator[Any] = read_lines(path)
    for number, row in enumerate(rows, 1):
        doc_id = row.get("doc_id", 0) if isinstance(row, dict) else 0
        if not isinstance(doc_id, str | None):
            raise _damaged(path, f"row {number} tells of no error")
        if doc_id:
            failed.add(doc_id)
    return frozenset(failed)


def is_blanked(row: Row) -> bool:
    """Whether a secret was blanked in the document's id."""
    return MASK in row["resource_id"]


class Beside:
    """Rows of an earlier run, found one after the other as a listing comes to them.

    A row in whose id a secret was blanked does not stand where that id would. It stands where the document was listed,
    though, so it is set aside when it is come to, and known by its hash when its document comes.

    Args:
        rows: what `read_documents` gives.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._row: Row | None = None
        self._aside: dict[str, list[Row]] = {}
        self._are_aside = 0
        self._go_on()

    def passed(self, resource_id: str) -> Iterator[Row]:
        """The rows of documents that the listing left out, up to `resource_id`."""
        while self._row is not None and self._row["resource_id"] < resource_id:
            yield self._row
            self._go_on()

    def row_of(self, ref: ResourceRef) -> Row | None:
        """What the earlier run wrote of `ref`, if it did; ask for one after the other, in the order of ids."""
        row = self._row
        if row is not None and row["resource_id"] == ref.id:
            self._go_on()
            return row
        return self._taken(ref) if self._are_aside else None

    def rest(self) -> Iterator[Row]:
        """The rows of documents that the listing left out, once it is at its end."""
        while self._row is not None:
            yield self._row
            self._go_on()
        for rows in self._aside.values():
            yield from rows

    def _go_on(self) -> None:
        self._row = None
        for row in self._rows:
            if not is_blanked(row):
                self._row = row
                return
            self._aside.setdefault(row["resource_id"], []).append({**row, "text": None})
            self._are_aside += 1

    def _taken(self, ref: ResourceRef) -> Row | None:
        """The row of `ref` among those set aside, which is there no more."""
        alike: list[Row] = self._aside.get(blank_known(ref.id), [])
        # What is a secret may have changed, and with it what the id has become.
        others: Iterable[list[Row]] = self._aside.values() if self._are_aside <= _MOST_ASIDE else ()
        for rows in (alike, *others):
            for row in rows:
                # Where the hash was not to be written down, the name has to do.
                if _is_of(row, ref) or (rows is alike and row["hash"] is None):
                    rows.remove(row)
                    self._are_aside -= 1
                    return row
        return None


def _is_of(row: Row, ref: ResourceRef) -> bool:
    from fmf.processing.settled import doc_id_of  # hardly ever needed

    told: str = row["hash"] or ""
    return bool(row["doc_id"] == doc_id_of(ref.id, told.removeprefix("sha256:")))


def _is_document(row: object) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() <= _FIELDS.keys()
        and all(name in row for name in _NEEDED)
        and all(isinstance(value, _FIELDS[name]) for name, value in row.items())
        and _is_time(row.get("modified_at"))
    )


def _is_time(told: str | None) -> bool:
    try:
        return told is None or bool(datetime.fromisoformat(told))
    except ValueError:
        return False


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{str(path)!r} is damaged: {why}",
        op="changes.since",
        hint="restore the file, or read everything once more, without --changed-since",
    )
