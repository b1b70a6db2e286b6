"""References to values: `${dotted.path}` and `${join(path, ", ")}`, read once and followed through mappings only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fmf_core.nearest import known_hint
from generative_ai_workflow.exceptions import DefinitionError, TemplateError

Path = tuple[str, ...]


def text_of(value: Any) -> str:
    """`value` as a prompt shows it: a string as it is, a list of strings joined by blank lines, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    return _as_json(value)


def _as_json(value: Any) -> str:
    import orjson

    try:
        return orjson.dumps(value, default=_plain).decode("utf-8")
    except TypeError:
        # orjson refuses what JSON can hold but others cannot read, such as integers beyond 64 bits.
        return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return list(value)
    return str(value)


class StepValues(dict[str, Any]):
    """What `${steps.NAME}` stands for."""

    __slots__ = ("absent",)

    def __init__(self, values: Mapping[str, Any] = {}, absent: Mapping[str, str] = {}) -> None:
        super().__init__(values)
        self.absent: dict[str, str] = dict(absent)
        """The steps that left nothing, and how they ended."""


def look_up(path: Path, names: Mapping[str, Any]) -> Any:
    """Follow `path` through mappings, and through mappings only.

    Raises:
        TemplateError: a part is missing; the message names the path, the hint lists what is there.
    """
    value: Any = names
    for depth, part in enumerate(path):
        if not isinstance(value, Mapping):
            raise TemplateError(
                f"{dotted(path)!r} cannot be reached: {dotted(path[:depth])!r} is {_kind(value)}",
                op="template.look_up",
                hint="only mappings have parts",
            )
        try:
            value = value[part]
        except KeyError:
            raise _missing(path, depth, value) from None
    return value


def _missing(path: Path, depth: int, value: Mapping[str, Any]) -> TemplateError:
    part = path[depth]
    hint = known_hint(part, sorted(map(str, value)))
    if path[:depth] == ("steps",):
        ended = value.absent.get(part) if isinstance(value, StepValues) else None
        complaint = f"step {part!r} {ended}" if ended else f"no step {part!r} has left anything"
        asked = json.dumps(part, ensure_ascii=False)
        hint = (
            f"one that was skipped or has failed leaves nothing: ask `{asked} in steps` first, in a condition or a"
            f" `when`; {hint}"
        )
    else:
        complaint = f"nothing is called {part!r}" + (f" in {dotted(path[:depth])!r}" if depth else "")
    return TemplateError(f"{dotted(path)!r} is not there: {complaint}", op="template.look_up", hint=hint)


def dotted(path: Path) -> str:
    """`path` as it is written."""
    return "".join(
        part
        if not index
        else f".{part}"
        if _PLAIN_PART.fullmatch(part)
        else f"[{json.dumps(part, ensure_ascii=False)}]"
        for index, part in enumerate(path)
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {"str": "text", "int": "a number", "float": "a number", "bool": "a truth value", "list": "a list"}.get(
        type(value).__name__, f"of type {type(value).__name__}"
    )


class Join(NamedTuple):
    """`${join(path, separator, max_items=, max_chars=)}`: the items of a list as one text."""

    path: Path
    separator: str = ""
    max_items: int | None = None
    max_chars: int | None = None

    def evaluate(self, names: Mapping[str, Any]) -> str:
        """The joined text; what a limit cuts off leaves a mark."""
        value = look_up(self.path, names)
        items = list(value) if isinstance(value, list | tuple) else [value]
        left_out = 0
        if self.max_items is not None and len(items) > self.max_items:
            left_out = len(items) - self.max_items
            items = items[: self.max_items]
        text = self.separator.join(map(text_of, items))
        if left_out:
            text = f"{text}{self.separator if text else ''}… [{left_out} more]"
        if self.max_chars is not None and len(text) > self.max_chars:
            text = f"{text[: self.max_chars]}… [{len(text) - self.max_chars} more characters]"
        return text


class ReferenceText:
    """A value with references to other values: `${document.title}`, `By ${row.author}`, `${join(all.notes, "; ")}`.

    A reference is a dotted path through mappings; a part with unusual characters is quoted: `${row["unit price"]}`.
    `$${` stands for `${` itself. Text that a reference brings in is never scanned again.

    Args:
        text: the value as it was written.

    Raises:
        DefinitionError: a reference is malformed.
    """

    __slots__ = ("_parts", "paths", "references", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: tuple[str | Path | Join, ...] = tuple(_split(text))
        found = [part.path if isinstance(part, Join) else part for part in self._parts if not isinstance(part, str)]
        self.references: tuple[Path, ...] = tuple(dict.fromkeys(found))
        """The paths that are mentioned, each as its parts."""
        self.paths: tuple[str, ...] = tuple(map(dotted, self.references))
        """The paths that are mentioned, as they are written."""

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """What the text stands for: a lone reference keeps the type of its value, everything else is text.

        Raises:
            TemplateError: a path leads nowhere; the message names it.
        """
        parts = self._parts
        if len(parts) == 1:
            return _value_of(parts[0], names)
        return "".join(text_of(_value_of(part, names)) for part in parts)

    def __repr__(self) -> str:
        return f"ReferenceText({self.text!r})"


def _value_of(part: str | Path | Join, names: Mapping[str, Any]) -> Any:
    if isinstance(part, str):
        return part
    return part.evaluate(names) if isinstance(part, Join) else look_up(part, names)


def compile_value(value: Any) -> Any:
    """A `ReferenceText` for a string with references, strings inside lists and mappings included; else `value`."""
    if isinstance(value, str):
        return ReferenceText(value) if "${" in value else value
    if isinstance(value, list | tuple):
        items = [compile_value(item) for item in value]
        return _Nested(items) if any(map(_is_live, items)) else value
    if isinstance(value, Mapping):
        pairs = {key: compile_value(item) for key, item in value.items()}
        return _Nested(pairs) if any(map(_is_live, pairs.values())) else value
    return value


def evaluate(value: Any, names: Mapping[str, Any]) -> Any:
    """What a value from `compile_value` stands for."""
    return value.evaluate(names) if _is_live(value) else value


def references(value: Any) -> tuple[Path, ...]:
    """The paths that a value from `compile_value` mentions."""
    return value.references if _is_live(value) else ()


class _Nested:
    """A list or a mapping with references somewhere inside."""

    __slots__ = ("content", "references")

    def __init__(self, content: list[Any] | dict[Any, Any]) -> None:
        self.content = content
        inside = content.values() if isinstance(content, dict) else content
        self.references: tuple[Path, ...] = tuple(dict.fromkeys(path for item in inside for path in references(item)))

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        if isinstance(self.content, dict):
            return {key: evaluate(item, names) for key, item in self.content.items()}
        return [evaluate(item, names) for item in self.content]


def _is_live(value: Any) -> bool:
    return isinstance(value, ReferenceText | _Nested)


# The grammar of what stands between `${` and `}`:
#   path | join( path , "separator" [, max_items=N] [, max_chars=N] )
#   path = part { . part | ["any text"] }
_PLAIN_PART = re.compile(r"[^\s.\[\]{}()\"',$:](?:[^.\[\]{}()\"',$:]*[^\s.\[\]{}()\"',$:])?")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_OPTION = re.compile(r"\s*(\w+)\s*=\s*(\d{1,9})\s*")


def _split(text: str) -> Iterable[str | Path | Join]:
    literal: list[str] = []
    position = 0
    parts: list[str | Path | Join] = []
    while (start := text.find("${", position)) >= 0:
        if start > position and text[start - 1] == "$":
            literal += (text[position : start - 1], "${")
            position = start + 2
            continue
        literal.append(text[position:start])
        reader = _Reader(text, start)
        part = reader.read()
        if any(literal):
            parts.append("".join(literal))
        literal = []
        parts.append(part)
        position = reader.position
    literal.append(text[position:])
    if any(literal) or not parts:
        parts.append("".join(literal))
    return parts


def read_reference(text: str, start: int) -> tuple[Path | Join, int]:
    """The reference that begins with `${` at `start` of `text`, and where it ends.

    Raises:
        DefinitionError: it is malformed.
    """
    reader = _Reader(text, start)
    return reader.read(), reader.position


class _Reader:
    """Reads one reference of an expression."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.position = start + 2

    def read(self) -> Path | Join:
        part: Path | Join
        call = _CALL.match(self.text, self.position)
        if call is None:
            part = self._path()
        elif call[1] == "join":
            self.position = call.end()
            part = self._join()
        else:
            raise self._fault(f"unknown function {call[1]!r}", "known: join")
        self._expect("}")
        return part

    def _path(self) -> Path:
        parts = [self._part()]
        while self.position < len(self.text):
            self._skip_space()
            if self._next() == ".":
                self.position += 1
                parts.append(self._part())
            elif self._next() == "[":
                self.position += 1
                parts.append(self._quoted())
                self._expect("]")
            else:
                break
        return tuple(parts)

    def _part(self) -> str:
        self._skip_space()
        return self._take(_PLAIN_PART, "a name is missing")

    def _join(self) -> Join:
        path = self._path()
        separator = "\n\n"
        limits: dict[str, int] = {}
        self._skip_space()
        while self._next() == ",":
            self.position += 1
            self._skip_space()
            if self._next() in {'"', "'"} and not limits:
                separator = self._quoted()
            else:
                name, number = self._option()
                limits[name] = number
            self._skip_space()
        self._expect(")")
        return Join(path, separator, **limits)

    def _option(self) -> tuple[str, int]:
        option = _OPTION.match(self.text, self.position)
        if option is None or option[1] not in {"max_items", "max_chars"}:
            raise self._fault(
                "join takes a path, a separator in quotes, max_items=N and max_chars=N",
                '${join(all.notes, ", ", max_items=20)}',
            )
        self.position = option.end()
        return option[1], int(option[2])

    def _quoted(self) -> str:
        self._skip_space()
        raw = self._take(_QUOTED, "a text in quotes is missing")
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), raw[1:-1], flags=re.DOTALL)

    def _take(self, pattern: re.Pattern[str], complaint: str) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise self._fault(complaint)
        self.position = match.end()
        return match[0]

    def _expect(self, character: str) -> None:
        self._skip_space()
        if self._next() != character:
            raise self._fault(f"{character!r} is missing")
        self.position += 1

    def _next(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip_space(self) -> None:
        while self._next().isspace():
            self.position += 1

    def _fault(self, complaint: str, hint: str = "") -> DefinitionError:
        shown = self.text[self.start : self.start + 60]
        return DefinitionError(
            f"the reference {shown!r} cannot be read at character {self.position + 1}: {complaint}",
            op="template.parse",
            hint=hint or "write ${name.part}; $${ stands for the characters themselves",
        )


_ESCAPES: Mapping[str, str] = {"n": "\n", "t": "\t", "r": "\r"}
