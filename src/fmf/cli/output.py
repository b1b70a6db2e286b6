"""How commands write: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from fmf.cli.streams import tell, written

_NAMED = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x1B: "\\x1b"}
# C0 without tab and newline, DEL, C1, and the characters that turn the direction of text.
_CONTROL = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_IN_LINE = {code: _NAMED.get(code, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}") for code in _CONTROL}
_IN_TEXT = {code: shown for code, shown in _IN_LINE.items() if code not in {0x09, 0x0A}}


def escape(text: str) -> str:
    """`text` with control characters made visible, so that it cannot steer a terminal; tabs and newlines stay."""
    return text.translate(_IN_TEXT)


def escape_field(text: str) -> str:
    """`text` with control characters made visible, tabs and newlines too, so that it stays one field of one line."""
    return text.translate(_IN_LINE)


def emit_text(text: str, *, end: str = "\n") -> None:
    """Write a result as it is; on a terminal, with control characters made visible."""
    with written():
        sys.stdout.write((escape(text) if sys.stdout.isatty() else text) + end)
        sys.stdout.flush()


def emit_lines(lines: Iterable[str | Sequence[str]]) -> None:
    """Write one result a line; a line of several fields is separated by tabs, control characters made visible."""
    with written():
        for line in lines:
            fields = (line,) if isinstance(line, str) else line
            sys.stdout.write("\t".join(map(escape_field, fields)) + "\n")


def emit_json(value: Any) -> None:
    """Write a result as one JSON document, indented."""
    import orjson

    raw = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    with written():
        sys.stdout.write(raw.decode() + "\n")
        sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows: as a table on a terminal (NO_COLOR is honoured), otherwise tab-separated without a heading."""
    shown = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        emit_lines(shown)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in shown:
        # Text, so that brackets in a name are no markup.
        made.add_row(*(Text(escape_field(cell)) for cell in row))
    Console(file=sys.stdout).print(made)


def note(text: str) -> None:
    """Tell something on stderr that is no result; nothing when --quiet."""
    session = _session()
    if not getattr(session, "quiet", False):
        _diagnose(text, "info", "note")


def warn(text: str) -> None:
    """Tell something on stderr that the user should know, also when --quiet."""
    _diagnose(text, "warning", "warning")


def _diagnose(text: str, level: str, event: str) -> None:
    from fmf_core.redact import redact

    if getattr(_session(), "json_logs", False):
        from fmf_core.logs import get_logger

        getattr(get_logger("fmf.cli"), level)(event, message=text)
        return
    prefix = "warning: " if level == "warning" else ""
    tell(escape(prefix + redact(text)))


def _session() -> Any:
    context = click.get_current_context(silent=True)
    return context.obj if context is not None else None


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump is not None else str(value)
