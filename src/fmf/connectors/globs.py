"""Patterns over resource ids: `*`, `?`, `[a-z]`, `**` for any depth of folders and `{a,b}` for alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile

from fmf.errors import ConfigError
from fmf_core.errors import Code

MAX_ALTERNATIVES = 1_000
"""How many patterns the braces of one pattern may stand for."""

_DRIVE = re.compile(r"[A-Za-z]:")
_ANY_DEPTH = "**"
_WILD = re.compile(r"[*?\[\\]")
_NEVER = "(?!)"


class GlobSet:
    """A set of patterns that an id may match.

    An id is a path with `/` between its parts, relative to a root. A pattern matches whole ids: `*.md` is a file at
    the top, `**/*.md` one at any depth, `docs/` the same as `docs/**`. A backslash takes the next character literally.
    Upper and lower case differ on every system.

    Args:
        patterns: at least the syntax above.

    Raises:
        ConfigError: a pattern is empty, absolute, or leaves the root by `..`.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        split = [_parts(one, pattern) for pattern in self.patterns for one in _alternatives(pattern)]
        self.names_hidden = any(part.startswith(".") for parts in split for part in parts)
        """Whether a pattern itself begins a part with a dot."""
        self._strict = _union(_path(parts, hidden=False) for parts in split)
        self._relaxed = _union(_path(parts, hidden=True) for parts in split)
        self._above = _union(_folders(parts) for parts in split)
        self._whole = _union(_path(parts[:-1], hidden=True) for parts in split if len(parts) > 1 and _takes_all(parts))
        self.folder = _common_folder(split)
        """The folder in which every match lies, with a `/` at its end; empty for the root."""

    def matches(self, resource_id: str, *, hidden: bool = False) -> bool:
        """Whether a pattern matches `resource_id`.

        Args:
            resource_id: the path below the root.
            hidden: let wildcards match parts that begin with a dot; otherwise only a pattern part that begins with one
                does.
        """
        return (self._relaxed if hidden else self._strict).fullmatch(resource_id) is not None

    def may_match_below(self, folder_id: str) -> bool:
        """Whether an id inside the folder could match, hidden or not; the root's own id is the empty string."""
        return not folder_id or self._above.fullmatch(folder_id) is not None

    def takes_all_below(self, folder_id: str) -> bool:
        """Whether every id inside the folder matches when hidden ones are let in, as for `docs/**`."""
        return self._whole.fullmatch(folder_id) is not None


def _common_folder(split: Sequence[tuple[str, ...]]) -> str:
    fixed = [tuple(takewhile(lambda part: not _WILD.search(part), parts[:-1])) for parts in split]
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*fixed, strict=False))
    return "".join(f"{parts[0]}/" for parts in shared)


def _takes_all(parts: tuple[str, ...]) -> bool:
    return parts[-1] == _ANY_DEPTH


def _union(sources: Iterator[str]) -> re.Pattern[str]:
    return re.compile("|".join(dict.fromkeys(sources)) or _NEVER, re.DOTALL)


def _parts(pattern: str, given: str) -> tuple[str, ...]:
    """The parts of one brace-free pattern, checked."""
    if pattern.startswith("/") or _DRIVE.match(pattern):
        raise _refused(given, "is absolute", "patterns count from the connector's root: write it without a leading '/'")
    parts = [part for part in pattern.split("/") if part != "."]
    if ".." in parts:
        raise _refused(given, "leaves the root by '..'", "widen the connector's root instead")
    if parts and not parts[-1]:
        parts[-1] = _ANY_DEPTH
    parts = [part for part in parts if part]
    if not parts or (parts == [_ANY_DEPTH] and not pattern.strip("/")):
        raise _refused(given, "is empty", "write '**/*' for every file")
    if parts[-2:] == [_ANY_DEPTH, "*"]:
        parts.pop()
    return tuple(parts)


def _refused(pattern: str, fault: str, hint: str) -> ConfigError:
    return ConfigError(f"pattern {pattern!r} {fault}", op="connectors.select", code=Code.INVALID, hint=hint)


def _alternatives(pattern: str) -> list[str]:
    """`a{b,c{d,e}}` as `ab`, `acd`, `ace`; braces without a comma stand for themselves."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        current = waiting.pop()
        group = _first_group(current)
        if group is None:
            done.append(current)
        else:
            start, end, choices = group
            waiting.extend(current[:start] + choice + current[end:] for choice in reversed(choices))
        if len(done) + len(waiting) > MAX_ALTERNATIVES:
            raise _refused(
                pattern, f"stands for more than {MAX_ALTERNATIVES} patterns", "write several shorter patterns"
            )
    return done


def _first_group(pattern: str) -> tuple[int, int, list[str]] | None:
    """The first `{...,...}` that is closed: where it starts and ends, and its choices."""
    for match in re.finditer(r"\\.|\{", pattern, re.DOTALL):
        if match[0] == "{" and (group := _group_at(pattern, match.start())):
            return group
    return None


def _group_at(pattern: str, start: int) -> tuple[int, int, list[str]] | None:
    depth = 0
    marks = [start]
    for match in re.finditer(r"\\.|[{},]", pattern[start:], re.DOTALL):
        at = start + match.start()
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
        elif match[0] == "," and depth == 1:
            marks.append(at)
        if depth == 0:
            marks.append(at)
            choices = [pattern[left + 1 : right] for left, right in pairwise(marks)]
            return (start, at + 1, choices) if len(choices) > 1 else None
    return None


def _path(parts: Sequence[str], *, hidden: bool) -> str:
    """A regular expression for the ids that `parts` match."""
    folder = r"(?:[^/]+/)*" if hidden else r"(?:(?!\.)[^/]+/)*"
    name = r"[^/]+" if hidden else r"(?!\.)[^/]+"
    source = ""
    for position, part in enumerate(parts, 1):
        if part == _ANY_DEPTH:
            source += folder + (name if position == len(parts) else "")
        else:
            source += _part(part, hidden=hidden) + ("" if position == len(parts) else "/")
    return source


def _folders(parts: Sequence[str]) -> str:
    """A regular expression for the folders that may hold a match."""
    sources = []
    for position, part in enumerate(parts):
        above = [_part(each, hidden=True) for each in parts[:position]]
        if part == _ANY_DEPTH:
            sources.append("/".join([*above, r".+"]))
        if above:
            sources.append("/".join(above))
        if part == _ANY_DEPTH:
            break
    return "|".join(sources) or _NEVER


def _part(part: str, *, hidden: bool) -> str:
    """A regular expression for one part of a path; no star is tried twice, so it takes linear time."""
    pieces = [_fixed(piece) for piece in _star_split(part)]
    guard = "" if hidden or part.startswith((".", "\\.")) else r"(?!\.)"
    if len(pieces) == 1:
        return guard + pieces[0]
    middle = "".join(f"(?>[^/]*?{piece})" for piece in pieces[1:-1] if piece)
    return f"{guard}{pieces[0]}{middle}[^/]*{pieces[-1]}"


def _star_split(part: str) -> list[str]:
    pieces = [""]
    for match in re.finditer(r"\\.|\[[!^]?\]?[^\]]*\]|\*+|.", part, re.DOTALL):
        if match[0].startswith("*"):
            pieces.append("")
        else:
            pieces[-1] += match[0]
    return pieces


def _fixed(piece: str) -> str:
    """A star-free piece as a regular expression."""
    source = ""
    for match in re.finditer(r"\\(.)|\[([!^]?)(\]?[^\]]*)\]|(.)", piece, re.DOTALL):
        literal, negation, members, single = match.groups()
        if members:
            source += _members(negation, members)
        elif single == "?":
            source += "[^/]"
        else:
            source += re.escape(literal or single or match[0])
    return source


def _members(negation: str, members: str) -> str:
    """`[a-z]` with everything but its ranges taken literally; `/` is never a member."""
    inside = ""
    for match in re.finditer(r"(.)-(.)|(.)", members, re.DOTALL):
        first, last, single = match.groups()
        if single is not None:
            inside += re.escape(single)
        elif first <= last:
            inside += f"{re.escape(first)}-{re.escape(last)}"
    if not inside:
        return "[^/]" if negation else _NEVER
    return f"(?!/)[{'^' if negation else ''}{inside}]"
