"""What the input of a run may hold: no characters that only hide or control something, and not too much of anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from pydantic import Field

from fmf_core.errors import ConfigurationError
from fmf_core.value import Value


class InputLimits(Value):
    """How much a caller may give to one run, and what happens to characters that no text needs."""

    max_characters: int = Field(default=10_000_000, ge=1)
    """Characters of all texts, keys included, together with the bytes of binary values."""
    max_items: int = Field(default=1_000_000, ge=1)
    """Values in all mappings and lists together."""
    max_depth: int = Field(default=32, ge=1, le=200)
    """How deep mappings and lists may stand inside each other."""
    clean: bool = False
    """Whether such characters are taken out, of keys too, as `clean_text` does, instead of the run being refused."""


DEFAULT: Final = InputLimits()

# Which characters no text needs, and why:
# * the C0 controls but tab and the ends of lines and pages (LF, VT of word processors, FF, CR), DEL, and the C1
#   controls but NEL: ESC and CSI drive terminals, NUL ends strings of C, the others are left-overs of broken decoding;
# * lone surrogates: they are no characters, and cannot be sent to any model;
# * the overrides of the writing direction (LRO, RLO): they show a text otherwise than it is read. Marks, embeddings and
#   isolates do not, and stand in ordinary Arabic and Hebrew text;
# * tag characters, but in the flags of regions: nobody sees them, and models read them as ASCII;
# * variation selectors of the supplement in a row: one makes a variant of a character, more of them hide bytes.
# Everything else passes: joiners and other selectors (emoji, Persian, Indic scripts), private use, every script.
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
_ASCII = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202d\u202e]"
    "|(?<=[\U000e0100-\U000e01ef])[\U000e0100-\U000e01ef]"
    f"|(?P<flag>{_FLAG})|[\U000e0000-\U000e007f]"
)
_ESCAPES = re.compile("(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)")
_SUSPECT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202d\u202e\U000e0000-\U000e01ef]")
"""All of them in one class, which is looked for quickly, and selectors and flags that are allowed."""
_FEW: Final = 8
_SHORT: Final = 4096
"""Texts of `checked_input` that need no other look: so many, and of so many characters."""
_isprintable = str.isprintable
_PLAIN: Final = frozenset((int, float, bool, type(None)))
_CONTROLS: Final = {0x00: "NUL", 0x08: "BS", 0x1B: "ESC", 0x7F: "DEL", 0x9B: "CSI"}


def checked_input(data: Mapping[str, Any] | None, limits: InputLimits = DEFAULT) -> dict[str, Any]:
    """What a run gets of its caller: a dict of its own, with the values as they are.

    Texts are looked through in mappings, lists and tuples, however deep; values of other kinds are the caller's matter.
    Markers of templates (`{{ x }}`, `${x}`) and of chats (`<|im_start|>`) pass: no text is scanned as a template once
    it is data, and providers see to it that data stays data.

    Args:
        data: a mapping with text keys; `None` is an empty one.
        limits: how much it may hold.

    Raises:
        ConfigurationError: it is something else, holds too much, or holds a character that no text needs; with the key,
            the position and the code point.
    """
    if type(data) is dict and limits is DEFAULT and len(data) <= _FEW:
        # What most callers give: a few short texts. All of ASCII that is forbidden is unprintable as well.
        try:
            for key, value in data.items():
                if not (_isprintable(key) and _isprintable(value) and len(value) <= _SHORT):
                    break
                if not (key.isascii() and (value.isascii() or _SUSPECT.search(value) is None)):
                    break
            else:
                return data.copy()
        except TypeError:  # something that is no text
            pass
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise _no_mapping(data)
    if type(data) is dict and _is_plain(data, limits):
        return data.copy()
    walk = _Walk(limits)
    try:
        return {key: walk.value(value, 1) for key, value in walk.items(data, 0)}
    except _Refused as refused:
        raise refused.explain(data) from None


def _is_plain(data: dict[str, Any], limits: InputLimits) -> bool:  # noqa: C901 - a call for each value is what it saves
    """Whether all of `data` is of the usual kinds, within the limits, and without anything to refuse or to clean.

    The same as a walk that finds nothing, in a fraction of its time; what it finds is left to the walk.
    """
    characters, items = limits.max_characters, limits.max_items
    level: list[Any] = [data]
    for _ in range(limits.max_depth + 1):
        below: list[Any] = []
        for holder in level:
            items -= len(holder)
            values = holder
            if type(holder) is dict:
                for key in holder:
                    if type(key) is not str or not (key.isascii() and _isprintable(key)):
                        return False
                    characters -= len(key)
                values = holder.values()
            for value in values:
                kind = type(value)
                if kind is str:
                    characters -= len(value)
                    if _place(value) is not None:
                        return False
                elif kind is dict or kind is list or kind is tuple:
                    below.append(value)
                elif kind not in _PLAIN:
                    return False
        if items < 0 or characters < 0:
            return False
        if not below:
            return True
        level = below
    return False


def clean_text(text: str) -> str:
    """`text` without the characters that `checked_input` refuses.

    Sequences that drive terminals go as a whole. C1 controls become what Windows-1252 means by them, as HTML reads
    them: they are nearly always its quotation marks and dashes, decoded wrongly. Lone surrogates become U+FFFD, pairs
    of them the character that they stand for. Everything else that is refused is left out.
    """
    if _place(text) is None:
        return text
    text = _ESCAPES.sub("", text)
    if re.search("[\ud800-\udfff]", text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _FORBIDDEN.sub(_instead, text)


def _instead(found: re.Match[str]) -> str:
    if found["flag"]:
        return found[0]
    number = ord(found[0])
    return bytes([number]).decode("cp1252", "ignore") if 0x80 <= number <= 0x9F else ""


def _place(text: str) -> int | None:
    """Where the first character stands that no text needs; `None` where there is none."""
    if text.isascii():
        # Texts of many lines are looked through without their ends of lines: that is quicker than the search.
        found = None if text.isprintable() or text.replace("\n", "").isprintable() else _ASCII.search(text)
        return None if found is None else found.start()
    suspect = _SUSPECT.search(text)
    if suspect is None:
        return None
    return next((found.start() for found in _FORBIDDEN.finditer(text) if not found["flag"]), None)


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """Something that is not allowed; where it stands is looked up only once it is known that there is something."""

    def __init__(self, thing: Any, explain: Callable[[tuple[Any, ...]], ConfigurationError]) -> None:
        super().__init__()
        self._thing = thing
        self._explain = explain

    def explain(self, data: Mapping[str, Any]) -> ConfigurationError:
        """The error, with the way to the thing inside `data`."""
        return self._explain(_way_to(self._thing, data))


def _way_to(thing: Any, data: Any) -> tuple[Any, ...]:
    """The keys that lead to `thing` inside `data`, the shortest way first."""
    level: list[tuple[tuple[Any, ...], Any]] = [((), data)]
    seen: set[int] = set()
    while level:
        following = []
        for path, value in level:
            if value is thing:
                return path
            if id(value) in seen:
                continue
            if isinstance(value, Mapping):
                seen.add(id(value))
                following += [((*path, key), inner) for key, inner in value.items()]
            elif isinstance(value, list | tuple):
                seen.add(id(value))
                following += [((*path, number), inner) for number, inner in enumerate(value)]
        level = following
    return ()


class _Walk:
    """Goes through one input and counts what it holds."""

    __slots__ = ("characters", "clean", "depth", "left")

    def __init__(self, limits: InputLimits) -> None:
        self.clean = limits.clean
        self.depth = limits.max_depth
        self.left = limits.max_items
        self.characters = limits.max_characters

    def value(self, value: Any, depth: int) -> Any:
        """`value` itself, or a clean copy where that is wanted and needed; it stands `depth` deep."""
        if type(value) in _PLAIN:
            return value
        if isinstance(value, str):
            self.measure(len(value), value)
            place = _place(value)
            if place is None:
                return value
            if self.clean:
                return clean_text(value)
            raise _Refused(value, lambda path: _bad_character(value, path, place))
        if isinstance(value, Mapping):
            kept: Any = {key: self.value(inner, depth + 1) for key, inner in self.items(value, depth)}
            return (
                kept if self.clean and any(value.get(key, kept) is not inner for key, inner in kept.items()) else value
            )
        if isinstance(value, list | tuple):
            self.count(value, depth)
            kept = [self.value(inner, depth + 1) for inner in value]
            if self.clean and any(new is not old for new, old in zip(kept, value, strict=True)):
                return kept if isinstance(value, list) else tuple(kept)
        elif isinstance(value, bytes | bytearray):
            self.measure(len(value), value)
        return value

    def items(self, mapping: Mapping[Any, Any], depth: int) -> Any:
        """The items of `mapping`, whose keys are checked, and cleaned where that is wanted."""
        self.count(mapping, depth)
        for key in mapping:
            if not isinstance(key, str):
                if depth:
                    continue
                raise _Refused(mapping, partial(_no_text_key, type(key).__name__))
            self.measure(len(key), mapping)
            place = _place(key)
            if place is not None:
                if self.clean:
                    return self.with_clean_keys(mapping)
                raise _Refused(mapping, partial(_bad_key, key, place))
        return mapping.items()

    def with_clean_keys(self, mapping: Mapping[Any, Any]) -> Any:
        """The items of `mapping` under clean keys, no two of which may be the same."""
        written: dict[Any, Any] = {}
        for key in mapping:
            clean = clean_text(key) if isinstance(key, str) else key
            if clean in written:
                raise _Refused(mapping, partial(_same_keys, written[clean], key))
            written[clean] = key
        return {clean: mapping[key] for clean, key in written.items()}.items()

    def count(self, holder: Any, depth: int) -> None:
        """Count the items of a mapping or a list that stands `depth` deep."""
        if depth > self.depth:
            why = f"mappings and lists stand more than {self.depth} deep"
            raise _Refused(holder, lambda path: _too_much(path, why, "max_depth"))
        self.left -= len(holder)
        if self.left < 0:
            raise _Refused(holder, lambda path: _too_much(path, "it holds too many values", "max_items"))

    def measure(self, characters: int, holder: Any) -> None:
        """Count characters of a text, or of a key of `holder`."""
        self.characters -= characters
        if self.characters < 0:
            raise _Refused(holder, lambda path: _too_much(path, "it holds too many characters", "max_characters"))


def _same_keys(one: str, other: str, path: tuple[Any, ...]) -> ConfigurationError:
    return ConfigurationError(
        f"the input of the workflow has the keys {one!r} and {other!r} in {_path(path)}, which are the same once they"
        " are cleaned",
        op="workflow.run",
        hint="give one of them another name",
        fields={"key": _path(path)},
    )


def _bad_key(key: str, place: int, path: tuple[Any, ...]) -> ConfigurationError:
    return _bad_character(key, (*path, key), place, "the key ")


def _bad_character(text: str, path: tuple[Any, ...], place: int, what: str = "") -> ConfigurationError:
    number = ord(text[place])
    point = f"U+{number:04X}"
    name = _CONTROLS.get(number)
    shown = f"{point} ({name})" if name else point
    where = f"{what}{_path(path)}"
    return ConfigurationError(
        f"the input of the workflow holds {shown}, which no text needs, at position {place} of {where}",
        op="workflow.run",
        hint="clean it: clean_text(text), or WorkflowConfig(input_limits=InputLimits(clean=True))",
        fields={"key": _path(path), "position": place, "code_point": point},
    )


def _too_much(path: tuple[Any, ...], why: str, setting: str) -> ConfigurationError:
    return ConfigurationError(
        f"the input of the workflow is too large: {why}, reached at {_path(path)}",
        op="workflow.run",
        hint=f"give less to one run, or raise {setting} of InputLimits",
        fields={"key": _path(path), "limit": setting},
    )


def _no_text_key(kind: str, path: tuple[Any, ...]) -> ConfigurationError:
    return _no_mapping(None, f"a key of type {kind} in {_path(path)}")


def _no_mapping(data: Any, told: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"the input of a workflow is a dict with text keys, got {told or type(data).__name__}",
        op="workflow.run",
        hint="give {'text': ...}; a template names the keys",
    )


def _path(path: tuple[Any, ...]) -> str:
    """`mail.parts[3]`, shortened where it is long."""
    said = ""
    for part in path:
        if isinstance(part, str) and part.isidentifier():
            said += f".{part}" if said else part
        else:
            said += f"[{part!r}]"
    said = said or "the input"
    return said if len(said) <= 200 else f"{said[:200]}..."
