"""Pseudonyms for personal data: a token for each value on the way out, the values in their places on the way back."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from fmf_core.errors import ConfigurationError
from fmf_core.forks import Lock
from fmf_core.personal import find_pii

Key = tuple[str, int]
"""What a token says: its kind in capitals and its number."""

LITERAL = "TEXT"
"""The kind of those tokens that stand for text which looked like a token before anything was replaced."""
MOST_VALUES = 1_000_000
"""How many values one table holds."""

_KIND = r"[A-Za-z]{2,20}(?:(?:\\?_|[ -]){1,2}[A-Za-z]{2,20}){0,2}"
# As it was written, and as models write it: in another case, with spaces, with Markdown's backslashes; or bare, in
# which case it must be exact.
_TOKEN = re.compile(
    rf"(?:(\\)|(?=\[))\[[ ]{{0,2}}({_KIND})(?:\\?_|[ -]|\#){{0,3}}([0-9]{{1,7}})[ ]{{0,2}}(?(1)\\)\]"
    r"|(?<![0-9A-Za-z_\[\\-])([A-Z]{2,20}(?:\\?_[A-Z]{2,20}){0,2})\\?_([0-9]{1,7})(?![0-9A-Za-z_-])"
)
_BETWEEN_WORDS = re.compile(r"(?:\\?_|[ -])+")
_UNIT = re.compile(r"[\x00-\x5b\x5d-\x7f]+|\\u([0-9A-Fa-f]{4})|.", re.DOTALL)
_BETWEEN_NAMES = r"(?:[\s_*]|\\[nrt])*"
"""What may stand between two words of a name: white space, also as JSON writes it, Markdown's emphasis, or nothing."""
_IN_WORD = (
    r"(?:[\u0300-\u036f]|(?![\W_])[0-9a-z\u00c0-\u02af\u0370-\u0588\u10a0-\u10ff\u13a0-\u13ff\u1c80-\u1cbf\u1d00-\u1dbf"
    r"\u1e00-\u1fff\u2c00-\u2dff\ua640-\ua7ff\uab30-\uabbf\U00010400-\U000104ff])"
)
_WORD = re.compile(_IN_WORD)
"""What goes on a word in writing that has capital letters; in other writing a name may stand anywhere."""
_WORD_BEFORE = re.compile(rf"(?<={_IN_WORD})(?<!\\[nrtbf])")
"""Also in JSON, where the `n` of a line end is no part of the word behind it."""
_NOT_BEHIND = {True: rf"(?!{_IN_WORD})", False: r"(?![\u1160-\u11ff\u3099\u309a])"}
"""What must not follow on a name that ends in a letter with a case, and on another one."""
_SYLLABLE = r"(?![\u1160-\u11ff\u3099\u309a])"
_SYLLABLE = r"[\u3005-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
_EAST_ASIAN = re.compile(rf"(?<={_SYLLABLE})\s*(?={_SYLLABLE})")
_MARKS_OF_SHAPE = frozenset("\u034f\u0640\u180b\u180c\u180d") | frozenset(map(chr, range(0xFE00, 0xFE10)))
_SPELT_ALIKE = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u2032\u00b4\u0060\uff07", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\uff02", '"')
)
_FENCED = re.compile(r"```[A-Za-z]{0,10}[ ]{0,5}\n(.*?)```", re.DOTALL)


class Pseudonyms:
    """Puts a token such as `[EMAIL_1]` in the place of personal data, and the data back in the place of the token.

    The same value has the same token for as long as the object lives. The table is kept in memory only: it is in no
    `repr`, and cannot be copied or pickled. Threads may share one.

        names = Pseudonyms()
        names.hide("Write to ann@example.org.")      # Write to [EMAIL_1].
        names.restore("I wrote to [email 1].")       # I wrote to ann@example.org.

    Args:
        kinds: which kinds of personal data are replaced; default is all that `find_pii` knows.
        known: what no shape can tell, by kind: `{"person": ["Ann Example"]}`; replaced wherever it stands as whole
            words, or anywhere in writing without capital letters; in any case, with any white space between its words,
            however its accents, apostrophes and hyphens are written.

    Raises:
        ConfigurationError: a kind that is not known, or that is no word of letters and underscores.
    """

    def __init__(self, kinds: Collection[str] | None = None, known: Mapping[str, Iterable[str]] | None = None) -> None:
        find_pii("", kinds)
        self._kinds = kinds
        self._known: dict[tuple[str, bool], dict[str, int]] = {}
        self._patterns: dict[tuple[str, bool], re.Pattern[str]] = {}
        self._values: dict[Key, str] = {}
        self._keys: dict[tuple[str, str], Key] = {}
        self._last: dict[str, int] = {}
        self._reserved: set[Key] = set()
        self._lock = Lock()
        for kind, values in (known or {}).items():
            self.add(kind, *values)

    def add(self, kind: str, *values: str) -> None:
        """Have `values` replaced from now on wherever they stand as whole words; empty ones are ignored.

        Args:
            kind: what they are, `person` for instance: letters and underscores, at most three words.
            values: the texts.

        Raises:
            ConfigurationError: the kind is no such word.
        """
        if not re.fullmatch(r"[A-Za-z]{2,20}(?:_[A-Za-z]{2,20}){0,2}", kind):
            raise ConfigurationError(
                f"{kind!r} is no kind of personal data",
                op="pseudonyms.add",
                hint="give letters and underscores, at most three words, such as 'person' or 'customer_name'",
            )
        with self._lock():
            changed = set()
            for value in values:
                if spelling := _spelling(value):
                    letters, in_word = spelling
                    self._known.setdefault((kind, in_word), {})[letters] = len(value)
                    changed.add((kind, in_word))
            # The longest first: "Ann Example" must not leave "Example" behind.
            made = {of: "|".join(sorted(self._known[of], key=self._known[of].__getitem__)[::-1]) for of in changed}
            compiled = {of: re.compile(f"(?:{either}){_NOT_BEHIND[of[1]]}") for of, either in made.items()}
            self._patterns = {**self._patterns, **compiled}

    def hide(self, text: str) -> str:
        """Return `text` with a token for each finding, and for whatever could be taken for a token in use."""
        findings = self._findings(text)
        with self._lock():
            parts: list[str] = []
            position = 0
            for start, end, kind in self._with_literals(text, findings):
                parts += [text[position:start], self._token(kind, text[start:end])]
                position = end
        return "".join([*parts, text[position:]])

    def restore(self, text: str, only: Collection[str] | None = None) -> str:
        """Return `text` with every known token replaced by what it stands for; others stay as they are.

        Tokens are known again in another case and with other spaces; inside JSON the values are escaped. What was put
        in is not looked at again.

        Args:
            text: an answer, for instance.
            only: the tokens that may be replaced; default is all.
        """
        allowed = None if only is None else {_key_of(match) for token in only if (match := _TOKEN.fullmatch(token))}
        with self._lock():
            found = [
                (match.span(), self._values[key])
                for match in _TOKEN.finditer(text)
                if (key := _key_of(match)) in self._values and (allowed is None or key in allowed)
            ]
        in_json = _json_spans(text) if any(_escaped(value) != value for _, value in found) else ()
        parts: list[str] = []
        position = 0
        for (start, end), value in found:
            inside = any(first <= start and end <= last for first, last in in_json)
            parts += [text[position:start], _escaped(value) if inside else value]
            position = end
        return "".join([*parts, text[position:]])

    def tokens_in(self, text: str) -> frozenset[str]:
        """The tokens in use that stand in `text`."""
        with self._lock():
            keys = {_key_of(match) for match in _TOKEN.finditer(text)} & self._values.keys()
        return frozenset(f"[{kind}_{number}]" for kind, number in keys)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Pseudonyms({len(self)} values)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("pseudonyms stay in the memory of their process: they cannot be copied or pickled")

    def _findings(self, text: str) -> list[tuple[int, int, str]]:
        found = [(one.start, one.end, one.kind) for one in find_pii(text, self._kinds)]
        if patterns := self._patterns:
            view = _as_spelt(text)
            found += [(*span, kind) for (kind, _), pattern in patterns.items() for span in _names_in(view, pattern)]
        return _united(found)

    def _with_literals(self, text: str, findings: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
        """The findings, and what could be taken for a token; numbers that are still free are left to the text."""
        literals = []
        for match in _TOKEN.finditer(text):
            key = _key_of(match)
            if key in self._values:
                literals.append((*match.span(), LITERAL))
            else:
                self._reserved.add(key)
        return _united([*findings, *literals]) if literals else findings

    def _token(self, kind: str, value: str) -> str:
        kind = kind.upper()
        key = self._keys.get((kind, value))
        if key is None:
            if len(self._values) >= MOST_VALUES:
                raise OverflowError(f"a table of pseudonyms holds at most {MOST_VALUES} values")
            number = self._last.get(kind, 0) + 1
            while (kind, number) in self._reserved:
                number += 1
            self._last[kind] = number
            key = (kind, number)
            self._keys[kind, value] = key
            self._values[key] = value
        return f"[{key[0]}_{key[1]}]"


class _Spelt(NamedTuple):
    """A text in the one way in which names are compared, and where each of its characters stands in the text itself."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def _as_spelt(text: str) -> _Spelt:
    if text.isascii() and "\\u" not in text and "`" not in text:
        return _Spelt(text.lower(), range(len(text)), range(1, len(text) + 1))
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _UNIT.finditer(text):
        start, end = match.span()
        if end - start > 1 and match[1] is None:
            parts.append(text[start:end].lower().translate(_SPELT_ALIKE))
            starts += range(start, end)
            ends += range(start + 1, end + 1)
        else:
            folded = _folded(chr(int(match[1], 16)) if match[1] else text[start:end])
            parts.append(folded)
            starts += [start] * len(folded)
            ends += [end] * len(folded)
    # Every character is taken apart by now, so this changes no more than the order of the marks on a letter.
    return _Spelt(unicodedata.normalize("NFD", "".join(parts)), starts, ends)


@lru_cache(maxsize=8192)
def _folded(character: str) -> str:
    """One character without its case, apart from its marks; nothing for those that nobody sees."""
    if unicodedata.category(character) == "Cf" or character in _MARKS_OF_SHAPE:
        return ""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    alike = unicodedata.normalize("NFKD", character.translate(_SPELT_ALIKE))
    # An accent that stands alone is made of a space and a mark, and is no end of a word.
    apart = character if alike[0].isspace() and not character.isspace() else alike
    return unicodedata.normalize("NFKD" if apart is alike else "NFD", apart.casefold())


def _names_in(view: _Spelt, pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    position = 0
    while match := pattern.search(view.text, position):
        start, end = match.span()
        goes_on = _WORD.match(view.text, start) and _WORD_BEFORE.match(view.text, start)
        if goes_on or _is_cut(view, start) or _is_cut(view, end):
            position = start + 1
        else:
            yield view.starts[start], max(view.ends[start:end])
            position = end


def _is_cut(view: _Spelt, place: int) -> bool:
    """Whether this is in the middle of what is one character in the text itself."""
    return 0 < place < len(view.text) and view.starts[place - 1] == view.starts[place]


def _spelling(name: str) -> tuple[str, bool] | None:
    """A pattern for a name in a text as it is spelt, and whether its end is that of a word in writing with a case."""
    composed = unicodedata.normalize("NFC", name.strip())
    # Between syllables of East Asia spaces are a matter of taste, and a line may end anywhere.
    spelt = [words for part in _EAST_ASIAN.split(composed) if (words := _as_spelt(part).text.split())]
    if not spelt:
        return None
    letters = r"\s*".join(_BETWEEN_NAMES.join("".join(map(_letter, word)) for word in words) for words in spelt)
    return letters, _WORD.match(spelt[-1][-1][-1]) is not None


def _letter(character: str) -> str:
    # Inside JSON these have a backslash before them.
    return rf"\\?{re.escape(character)}" if character in '"\\' else re.escape(character)


def _key_of(match: re.Match[str]) -> Key:
    kind, number = (match[2], match[3]) if match[2] else (match[4], match[5])
    return _BETWEEN_WORDS.sub("_", kind).upper(), int(number)


def _united(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Spans in order; those that overlap become one, of the kind that begins first and is the longest."""
    united: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1])):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]), united[-1][2])
        else:
            united.append((start, end, kind))
    return united


def _escaped(value: str) -> str:
    """The value as it stands between the quotes of a JSON string; what came out of one is escaped already."""
    if "\\" in value and _is_json(f'"{value}"'):
        return value
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _json_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Where JSON stands in an answer: all of it, what is fenced, or from the first brace to the last."""
    if _is_json(text):
        return ((0, len(text)),)
    fenced = tuple(match.span(1) for match in _FENCED.finditer(text) if _is_json(match[1]))
    return fenced or tuple(span for span in _braced(text) if _is_json(text[span[0] : span[1]]))


def _braced(text: str) -> Iterator[tuple[int, int]]:
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield start, end + 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def hide_values(names: Pseudonyms, value: Any) -> Any:
    """A copy of JSON-like data with personal data replaced in its texts and keys, and in its whole numbers."""
    return _mapped(names.hide, value, numbers=True)


def restore_values(names: Pseudonyms, value: Any, only: Collection[str] | None = None) -> Any:
    """A copy of JSON-like data with every known token replaced in its texts and keys."""
    return _mapped(lambda text: names.restore(text, only), value, numbers=False)


def _mapped(change: Any, value: Any, *, numbers: bool) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(str(key)): _mapped(change, item, numbers=numbers) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(change, item, numbers=numbers) for item in value]
    if numbers and isinstance(value, int) and not isinstance(value, bool):
        hidden = change(str(value))
        return value if hidden == str(value) else hidden
    return value
