"""What `save` under a chain's `outputs` writes: the answers of one step as JSON lines, CSV or text."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from fmf.artefacts.files import ALL
from fmf.artefacts.lines import encode_line
from fmf.artefacts.storage import whole_file, writing
from fmf.chains.collect import answers_of
from fmf.errors import ConfigError
from fmf.types import Row
from fmf_core.errors import Code

Form = Literal["jsonl", "csv", "parquet", "text"]
SUFFIXES: Mapping[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
    ".json": "text",
    ".html": "text",
    ".yaml": "text",
}
_WRITABLE = [ending for ending, form in SUFFIXES.items() if form != "parquet"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ARTEFACTS = "artefacts/"
_LEADING = ("record_id", "source_uri", "doc_id", "chunk_id")


@dataclass(frozen=True, slots=True)
class Save:
    """One file that a run writes at its end."""

    path: Path
    step_id: str
    form: Form


def form_of(save: str, chosen: Form | None) -> Form:
    """The form of the file called `save`: what `as:` says, else what its ending says.

    Raises:
        ConfigError: neither says, or this version cannot write it.
    """
    form = chosen or SUFFIXES.get(Path(save).suffix.lower())
    if form is None:
        raise ConfigError(
            f"the form of {save!r} cannot be told from its ending",
            op="chain.load",
            hint=f"add `as: jsonl`, `csv` or `text`; known endings: {', '.join(_WRITABLE)}",
        )
    if form == "parquet":
        raise ConfigError(
            f"{save!r}: this version does not write parquet",
            op="chain.load",
            code=Code.UNSUPPORTED,
            hint="save as jsonl or csv",
        )
    return form


def save_path(save: str, names: Mapping[str, Any], root: Path, artefacts: Path) -> Path:
    """Where a file goes; `${run_id}` and its like are filled in.

    A path that begins with `artefacts/` counts from the folder of all runs, wherever `artefacts_dir` puts it; any other
    relative path from `root`.

    Args:
        save: the path as the chain has it.
        names: what `${...}` stands for.
        root: the folder of the configuration.
        artefacts: the folder of all runs.

    Raises:
        ConfigError: it lies outside both folders, or is a file that the run writes itself.
    """
    from generative_ai_workflow.reference import ReferenceText

    named = str(ReferenceText(save).evaluate(names))
    inside = named.removeprefix("./").removeprefix(_ARTEFACTS)
    path = Path(os.path.normpath(root / named if inside == named.removeprefix("./") else artefacts / inside))
    if not any(path.is_relative_to(folder) and path != folder for folder in (root, artefacts)):
        raise ConfigError(
            f"outputs: save {save!r} leads out of the project, to {str(path)!r}",
            op="chain.load",
            hint=f"save below {str(root)!r} or {str(artefacts)!r}",
        )
    if path.name in ALL and path.is_relative_to(artefacts):
        raise ConfigError(
            f"outputs: save {save!r} is a file that the run writes itself", op="chain.load", hint="choose another name"
        )
    return path


def write_save(save: Save, outputs: Path) -> bool:
    """Write one file from `outputs.jsonl`; `False` when its step has no answer, and then there is no file.

    An older file of that name is replaced when the new one is whole.

    Raises:
        FrameworkError: it could not be written.
    """
    if next(answers_of(outputs, save.step_id), None) is None:
        return False
    with writing(save.path):
        save.path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(save.path) as file:
        _write(save, outputs, file)
    return True


def _write(save: Save, outputs: Path, file: IO[bytes]) -> None:
    if save.form == "csv":
        file.writelines(_csv_lines(lambda: answers_of(outputs, save.step_id)))
    elif save.form == "text":
        file.writelines(_text_parts(answers_of(outputs, save.step_id)))
    else:
        file.writelines(map(encode_line, answers_of(outputs, save.step_id)))


def _text_parts(rows: Iterable[Row]) -> Iterator[bytes]:
    """The answers, one below the other with a blank line between; JSON values are indented."""
    for number, row in enumerate(rows):
        text = _as_text(row["output"], indent=2).rstrip("\n")
        yield f"{'' if number == 0 else chr(10)}{text}\n".encode("utf-8", "replace")


def _csv_lines(rows: Any) -> Iterator[bytes]:
    """A heading and a line for each answer.

    The columns: what identifies the record, the columns that came along with the row, the answer, and the keys of
    answers that are JSON objects.
    """
    extra: dict[str, None] = {}
    brought: dict[str, None] = {}
    for row in rows():
        brought.update(dict.fromkeys(row["row"] or ()))
        if isinstance(row["output"], dict):
            extra.update(dict.fromkeys(row["output"]))
    known = {*_LEADING, "output"}
    named = {key: key if key not in known else f"row.{key}" for key in brought}
    keyed = {key: key if key not in known | set(named.values()) else f"output.{key}" for key in extra}
    yield _csv_line([*_LEADING, *named.values(), "output", *keyed.values()])
    for row in rows():
        output = row["output"] if isinstance(row["output"], dict) else {}
        cells = [row[name] for name in _LEADING]
        cells += [(row["row"] or {}).get(key) for key in named]
        yield _csv_line([*cells, row["output"], *(output.get(key) for key in keyed)])


def _csv_line(cells: Iterable[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return line.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    """A value as a cell; a text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = _as_text(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _as_text(value: Any, indent: int | None = None) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)
