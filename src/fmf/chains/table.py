"""Rows of tables as items of a chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fmf.chains.items import document_names
from fmf.types import Document, Row, TableWish
from generative_ai_workflow.reference import text_of

TEXT: Final = "text"
"""What `${row.text}` ends with: the text of a row, unless a column is called so."""


@dataclass(frozen=True, slots=True)
class RowWishes:
    """Which rows and columns of tables a chain works with."""

    text_columns: tuple[str, ...] = ()
    """What `${row.text}` is made of; none stands for all columns."""
    pass_through: tuple[str, ...] = ()
    """What goes into the records as it is."""
    mentioned: tuple[str, ...] = ()
    """What steps mention by name."""
    sheets: tuple[str, ...] = ()
    """Patterns for names of sheets; none stands for all."""
    header_row: int | None = None
    """The row that holds the names of the columns; `None` leaves that to fmf.yaml."""

    @property
    def of_file(self) -> TableWish:
        """What is wanted of each file, every column once."""
        columns = dict.fromkeys((*self.text_columns, *self.pass_through, *self.mentioned))
        return TableWish(tuple(columns), self.sheets, self.header_row)


@dataclass(frozen=True, slots=True)
class RowItem:
    """One row of a table."""

    document: Document
    line: Row
    """As it stands in `rows.jsonl`."""
    wishes: RowWishes

    @property
    def item_id(self) -> str:
        """The document's id, the sheet's number and the row's."""
        return str(self.line["row_id"])

    @property
    def values(self) -> Mapping[str, Any]:
        """What stands in its cells, by column."""
        values: Mapping[str, Any] = self.line["values"]
        return values

    @property
    def text(self) -> str:
        """The text column; where there are several, a line with name and value for each."""
        wanted = self.wishes.text_columns or tuple(self.values)
        if len(self.wishes.text_columns) == 1:
            return _shown(self.values.get(wanted[0]))
        return "\n".join(f"{name}: {_shown(self.values.get(name))}" for name in wanted)

    @property
    def content(self) -> str:
        """Names and values."""
        return "\n".join(f"{name}: {_shown(value)}" for name, value in self.values.items())

    @property
    def weight(self) -> int:
        """Characters."""
        return len(self.content)

    @property
    def source_uri(self) -> str:
        """Where its document came from."""
        return self.document.source_uri

    @property
    def doc_id(self) -> str:
        """Its document."""
        return self.document.doc_id

    @property
    def chunk_id(self) -> None:
        """Rows are no chunks."""
        return

    @property
    def place(self) -> Mapping[str, Any]:
        """Its number, and its sheet where there is one."""
        sheet = self.line["sheet"]
        return {"row": self.line["row"]} if sheet is None else {"sheet": sheet, "row": self.line["row"]}

    @property
    def passed(self) -> Row:
        """The columns that go into the records as they are."""
        return {name: self.values.get(name) for name in self.wishes.pass_through}

    def names(self) -> dict[str, Any]:
        """What `${...}` can say about it; a column called `text` comes before the text of the row."""
        return {"document": document_names(self.document), "row": {TEXT: self.text, **self.values}}


def _shown(value: Any) -> str:
    return "" if value is None else text_of(value)
