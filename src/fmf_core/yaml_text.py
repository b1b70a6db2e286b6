"""Strict YAML with line and column: plain data only, nothing guessed, nothing evaluated."""

from __future__ import annotations

import copy
import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fmf_core.errors import Code, ConfigurationError

KeyPath = tuple[str | int, ...]
MAX_NODES = 100_000
"""How many values one text may have once its aliases are filled in."""
MAX_DEPTH = 64
"""How deep values may be nested."""
MOST_BYTES = 10_000_000
"""The largest file of settings."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,300}\Z")
_BASED = re.compile(r"0(?:o[0-7]{1,100}|x[0-9A-Fa-f]{1,100})\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,300}|[0-9]{1,300}(?:\.[0-9]{0,300})?)(?:[eE][-+]?[0-9]{1,9})?\Z")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ud800-\udfff]|\ufeff|\ufffe|\uffff")
_TAG = "tag:yaml.org,2002:"
_PART = re.compile(r"""\[(?:(\d+)|"((?:[^"\\]|\\.)*)"|'([^']*)')\]|"((?:[^"\\]|\\.)*)"|'([^']*)'|([^.\[\]"']+)""")


@dataclass(frozen=True, slots=True)
class Yaml:
    """What a YAML text says, and where it says it."""

    data: Any
    """Dictionaries with text keys, lists, text, numbers, booleans and `None`; `None` for an empty text."""
    source: str
    """What messages call the text, mostly its file name."""
    _values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict, repr=False)
    _keys: dict[KeyPath, tuple[int, int]] = field(default_factory=dict, repr=False)
    sha256: str = ""
    """The hash of the file's bytes, in hexadecimal; empty for what was no file."""

    def position(self, path: str | KeyPath, *, key: bool = False) -> tuple[int, int] | None:
        """Line and column, from 1, of the value at `path`, or of its key; `None` when the text has no such path.

        Args:
            path: `connectors[0].type`, or `("connectors", 0, "type")`.
            key: whether the key is meant that stands before the value.
        """
        parts = parse_path(path) if isinstance(path, str) else tuple(path)
        return self._keys.get(parts, self._values.get(parts)) if key else self._values.get(parts)


def load_yaml(text: str | bytes, *, source: str) -> Yaml:
    """Read one YAML document.

    Types follow the core schema of YAML 1.2: only `true` and `false` are booleans (`no`, `on` and `NO` are text), `010`
    is ten, dates and times stay text, `null`, `~` and nothing are `None`. Keys are text. Refused are: duplicate keys,
    several documents, tags other than those of the core schema, aliases that multiply to a huge document.

    Args:
        text: what to read; bytes are UTF-8.
        source: what messages call it, mostly the file's name.

    Raises:
        ConfigurationError: it is not such a document; the message begins with `source:line:column`.
    """
    if isinstance(text, bytes):
        text = _decoded(text, source)
    text = text.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        line, column = _place(text, found.start())
        raise _error(
            source, line, column, f"a character that YAML does not allow: U+{ord(found.group()):04X}",
            hint="is this really a text file? inside double quotes it can be written as an escape",
        )  # fmt: skip
    return _Reader(text, source).read()


def load_yaml_file(path: str | Path) -> Yaml:
    """Read the YAML file at `path`; see `load_yaml`.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, or it is no such document.
    """
    try:
        content = read_small_file(path)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"there is no file {str(path)!r} (working directory: {Path.cwd()})",
            op="yaml.load",
            code=Code.NOT_FOUND,
            hint="check the name, or change to the folder it is in",
        ) from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(
            f"the file {str(path)!r} cannot be read: {reason}",
            op="yaml.load",
            hint="it must be a readable text file",
        ) from error
    from hashlib import sha256

    return replace(load_yaml(content, source=str(path)), sha256=sha256(content).hexdigest())


def read_small_file(path: str | Path) -> bytes:
    """The bytes of a file that people wrote: a regular one, of at most `MOST_BYTES`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is something else, or larger; says which.
    """
    # Without waiting: opening a pipe that nobody writes to would never come back.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
        if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file (a pipe or a device)")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES // 1_000_000} MB, which no file of settings has")
    return content


def path_text(path: KeyPath) -> str:
    """Write a path as people do: `connectors[0].type`, with quotes where a key has dots: `prices["a.b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and not re.search(r"[.\[\]\"'\s=]", part):
            text += f".{part}" if text else part
        else:
            escaped = part.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def parse_path(text: str) -> KeyPath:
    """Read a path as people write it: `connectors[0].type`; in `connectors.0.type` the second part is text.

    Raises:
        ValueError: it is no such path.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        if parts and text[position] == ".":
            position += 1
        elif parts and text[position] != "[":
            raise ValueError(text)
        found = _PART.match(text, position)
        if not found:
            raise ValueError(text)
        index, double, single, bare_double, bare_single, plain = found.groups()
        quoted = double if double is not None else bare_double
        if index is not None:
            parts.append(int(index))
        elif quoted is not None:
            parts.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            parts.append(next(part for part in (single, bare_single, plain) if part is not None))
        position = found.end()
    if not parts or text.endswith("."):
        raise ValueError(text)
    return tuple(parts)


class _Reader:
    """Builds data from the parser's events, which keeps depth, aliases and duplicates under control."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._values: dict[KeyPath, tuple[int, int]] = {}
        self._keys: dict[KeyPath, tuple[int, int]] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def read(self) -> Yaml:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            data = self._document(yaml.parse(self._text, Loader=loader))
        except yaml.YAMLError as error:
            raise self._explained(error) from error
        return Yaml(data, self._source, self._values, self._keys)

    def _document(self, events: Iterator[Any]) -> Any:
        data, seen = None, False
        for event in events:
            match type(event).__name__:
                case "DocumentStartEvent" if seen:
                    raise self._at(event, "a second document begins here", "keep one document in a file: remove `---`")
                case "DocumentStartEvent":
                    seen = True
                    data = self._node(next(events), events, ())
        return data

    def _node(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._at(event, f"values are nested deeper than {MAX_DEPTH} levels", "flatten it")
        self._values[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        before = self._nodes
        self._count(event, 1)
        match type(event).__name__:
            case "ScalarEvent":
                value: Any = self._scalar(event)
            case "SequenceStartEvent":
                self._check_tag(event, "seq")
                value = self._sequence(events, path)
            case "MappingStartEvent":
                self._check_tag(event, "map")
                value = self._mapping(events, path)
            case _:
                return self._alias(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes - before)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise self._at(
                event, f"the alias *{event.anchor} refers to nothing above, or to itself", "define it with &"
            )
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        return copy.deepcopy(value)

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._at(event, f"the text grows to more than {MAX_NODES} values here", "use fewer aliases")

    def _sequence(self, events: Iterator[Any], path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], path: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        inherited: list[dict[str, Any]] = []
        while type(event := next(events)).__name__ != "MappingEndEvent":
            key = self._key(event)
            here = (*path, key)
            if key == "<<" and event.implicit[0]:
                inherited += self._inherited(event, self._node(next(events), events, here))
                continue
            if key in items:
                raise self._at(
                    event, f"the key {key!r} stands here for the second time", f"first in line {self._keys[here][0]}"
                )
            self._keys[here] = (event.start_mark.line + 1, event.start_mark.column + 1)
            items[key] = self._node(next(events), events, here)
        for other in inherited:
            items = {**items, **{key: value for key, value in other.items() if key not in items}}
        return items

    def _key(self, event: Any) -> str:
        if type(event).__name__ != "ScalarEvent":
            raise self._at(
                event, "a key must be text, not a list, a mapping or an alias", "write text before the colon"
            )
        key = "<<" if event.value == "<<" else self._scalar(event)
        if not isinstance(key, str):
            raise self._at(event, f"the key {event.value!r} is not text", f'put it in quotes: "{event.value}"')
        return key

    def _inherited(self, event: Any, value: Any) -> list[dict[str, Any]]:
        found = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in found):
            raise self._at(event, "`<<` takes an alias of a mapping, or a list of them", "write `<<: *name`")
        return found

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.tag in (None, "!"):
            return _plain(text) if event.implicit[0] and event.tag is None else text
        kind = event.tag.removeprefix(_TAG)
        if kind == "str":
            return text
        value = _plain(text)
        kinds: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        wanted = kinds.get(kind)
        if wanted is None:
            raise self._at(event, f"the tag {event.tag} is not supported", "write plain text, numbers, lists, mappings")
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "bool"):
            raise self._at(event, f"{text!r} is no {kind}", "remove the tag or correct the value")
        return float(value) if kind == "float" else value

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            raise self._at(event, f"the tag {event.tag} is not supported", "write plain text, numbers, lists, mappings")

    def _at(self, event: Any, message: str, hint: str) -> ConfigurationError:
        return _error(self._source, event.start_mark.line + 1, event.start_mark.column + 1, message, hint=hint)

    def _explained(self, error: Exception) -> ConfigurationError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        if mark is None:
            return _error(self._source, 1, 1, problem, hint="is this really a YAML file?")
        lines = self._text.splitlines()
        line = lines[mark.line] if mark.line < len(lines) else ""
        message, hint = _advice(problem, line, mark.column)
        return _error(self._source, mark.line + 1, mark.column + 1, message, hint=hint)


def _plain(text: str) -> Any:
    """The value of text without quotes under the core schema of YAML 1.2."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.match(text) or _BASED.match(text):
        return int(text, 0 if _BASED.match(text) else 10)
    if _FLOAT.match(text) or _SPECIAL.match(text):
        return float(text.replace(".", "") if _SPECIAL.match(text) else text)
    return text


def _advice(problem: str, line: str, column: int) -> tuple[str, str]:
    """What is wrong and what to do, in words for somebody who does not know how YAML is parsed."""
    character = line[column : column + 1]
    if character == "\t" or ("token" in problem and "\t" in line[: column + 1]):
        return "a tab where YAML wants spaces", "indent with spaces"
    if "cannot start any token" in problem:
        return f"text cannot begin with {character!r}", "put the text in quotes"
    if "mapping values are not allowed" in problem:
        return "a `: ` that does not fit here", "check the indentation, or put text that contains `: ` in quotes"
    if "block" in problem or "expected key" in problem or "'-' indicator" in problem:
        return "the indentation does not fit the lines above", "keys of one mapping begin in one column"
    if "end of stream" in problem:
        problem, hint = "the text ends inside a quoted text or a bracket", "close it"
    else:
        hint = "check the line, and the line above it"
    return problem, "put quotes around text with ${...}, for instance '${NAME}'" if "${" in line else hint


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = _place(before, len(before))
        utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise _error(
            source,
            line,
            column,
            f"the byte 0x{content[error.start]:02X} is not UTF-8",
            hint=f"save the file as UTF-8{' (it seems to be UTF-16)' if utf16 else ''}",
        ) from error


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _error(source: str, line: int, column: int, message: str, *, hint: str) -> ConfigurationError:
    return ConfigurationError(
        f"{source}:{line}:{column}: {message}",
        op="yaml.load",
        hint=hint,
        fields={"source": source, "line": line, "column": column},
    )
