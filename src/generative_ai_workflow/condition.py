"""Conditions: a small language for yes or no over the values of a run, read by hand and never by Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from generative_ai_workflow.comparing import Judge
from generative_ai_workflow.exceptions import DefinitionError, ExpressionError, TemplateError
from generative_ai_workflow.reference import Join, Path, look_up, read_reference

LONGEST_TEXT = 2_000
MOST_TOKENS = 500
DEEPEST = 32
LONGEST_SHOWN = 200
"""How much of a condition its errors repeat, in characters."""

Names = Mapping[str, Any]
Node = Callable[[Names, Judge], Any]


class Condition:
    """A condition that can be asked again and again.

        Condition("len(items) > 3 and not (lang in ['de', 'fr'])").evaluate({"items": [1, 2], "lang": "de"})   # False

    It knows comparisons (`== != < <= > >=`), `in` and `not in`, `and`, `or`, `not`, brackets, `len(...)`, texts in
    quotes, numbers, `true`, `false`, `null`, lists, and names. `a.b` is the part `b` of the mapping `a`, and `a["b c"]`
    one with an odd name; attributes and functions cannot be reached. `${a.b}` may be written for `a.b`. Values compare
    as in Python, as long as they are plain data (texts, numbers, dates, lists, mappings); an object of a class of its
    own can only be told from null. A decision that would look at more than a million items is refused.

    Args:
        text: the condition, of at most 2,000 characters.

    Raises:
        ExpressionError: it cannot be read; the message says where.
    """

    __slots__ = ("_node", "references", "text")

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise ExpressionError(f"a condition must be a non-empty text, got {text!r}", op="condition.parse")
        if len(text) > LONGEST_TEXT:
            raise ExpressionError(
                f"the condition has {len(text)} characters, more than {LONGEST_TEXT}", op="condition.parse"
            )
        self.text = text
        parser = _Parser(text)
        self._node = parser.parse()
        self.references: tuple[Path, ...] = tuple(dict.fromkeys(parser.paths))
        """The names that are mentioned, each as its parts."""

    def evaluate(self, names: Names) -> Any:
        """What the condition comes to.

        Raises:
            ExpressionError: a name is missing, two values cannot be compared, or they are too large for it.
        """
        return self._decide(names, self._node)

    def __call__(self, names: Names) -> bool:
        """Whether the condition is met; raises as `evaluate` does."""
        return bool(self._decide(names, lambda names, judge: judge.truth(self._node(names, judge))))

    def _decide(self, names: Names, node: Node) -> Any:
        try:
            return node(names, Judge())
        except TemplateError as error:
            complaint, hint, cause = error.message, error.hint, None
        except Exception as error:  # noqa: BLE001 - a mapping of a class of its own may raise anything
            plain = isinstance(error, TypeError | ValueError | RecursionError)
            complaint, hint, cause = (str(error) if plain else type(error).__name__), "", error
        raise ExpressionError(
            f"the condition {_short(self.text)!r} cannot be decided: {complaint}", op="condition.evaluate", hint=hint
        ) from cause

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


_TOKEN = re.compile(
    r"""
    \s*(?:
      (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?(?!\w))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>[^\W\d]\w*)
    | (?P<reference>\$\{)
    | (?P<sign>==|!=|<=|>=|[<>()\[\],.\-])
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMPARE = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_CONSTANTS: Mapping[str, Any] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_WORDS = frozenset({"and", "or", "not", "in", "len"})
_END = _Token("end", "", -1)


class _Parser:
    """Reads a condition by recursive descent, each rule of the grammar a method.

    either := both {"or" both}        both := negation {"and" negation}      negation := "not" negation | comparison
    comparison := operand {sign operand}
    operand := number | text | constant | name | "len" "(" either ")" | "(" either ")" | "[" [either {"," either}] "]"
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.references: dict[int, Path] = {}
        self.tokens = self._tokens()
        self.position = 0
        self.depth = 0
        self.paths: list[Path] = []

    def parse(self) -> Node:
        node = self._either()
        if self._peek() is not _END:
            raise self._fault(f"{self._peek().text!r} is not expected here")
        return node

    def _tokens(self) -> list[_Token]:
        found: list[_Token] = []
        position = 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None:
                position += len(self.text[position:]) - len(self.text[position:].lstrip())
                raise self._fault_at(position, f"{self.text[position:].lstrip()[:10]!r} means nothing here")
            kind = str(match.lastgroup)
            position = match.end() if kind != "reference" else self._end_of_reference(match.start(kind))
            found.append(_Token(kind, self.text[match.start(kind) : position], match.start(kind)))
            if len(found) > MOST_TOKENS:
                raise self._fault_at(position, f"more than {MOST_TOKENS} words and signs")
        return found

    def _end_of_reference(self, start: int) -> int:
        try:
            found, end = read_reference(self.text, start)
        except DefinitionError as error:
            raise self._fault_at(start, error.message, error.hint) from None
        if isinstance(found, Join):
            raise self._fault_at(start, "join makes a text for a prompt, and a condition has none")
        self.references[start] = found
        return end

    def _either(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._fault(f"brackets and negations nest deeper than {DEEPEST}")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else _first(parts, stop_at=True)

    def _both(self) -> Node:
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else _first(parts, stop_at=False)

    def _negation(self) -> Node:
        if not self._take("not"):
            return self._comparison()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._fault(f"brackets and negations nest deeper than {DEEPEST}")
        inner = self._negation()
        self.depth -= 1
        return lambda names, judge: not judge.truth(inner(names, judge))

    def _comparison(self) -> Node:
        first = self._operand()
        links: list[tuple[str, Node]] = []
        while (sign := self._sign()) is not None:
            links.append((sign, self._operand()))
        return _chain(first, links) if links else first

    def _sign(self) -> str | None:
        token = self._peek()
        if token.kind in {"sign", "name"} and token.text in _COMPARE:
            self.position += 1
            return token.text
        following = self.tokens[self.position + 1 : self.position + 2]
        if token.text == "not" and token.kind == "name" and following and following[0].text == "in":
            self.position += 2
            return "not in"
        return None

    def _operand(self) -> Node:
        token = self._peek()
        if token.kind in {"number", "text"} or token.text == "-":
            return _constant(self._literal())
        if token.kind == "name":
            return self._name(token)
        if self._take("["):
            return self._list()
        if token.kind == "reference":
            self.position += 1
            return self._reach(self.references[token.start])
        if self._take("("):
            node = self._either()
            self._expect(")")
        else:
            raise self._fault("a value is missing" if token is _END else f"{token.text!r} is not expected here")
        return node

    def _literal(self) -> str | int | float:
        negative = self._take("-")
        token = self._peek()
        if negative and token.kind != "number":
            raise self._fault("a number is missing behind '-'")
        self.position += 1
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        number = int(token.text) if token.text.isdecimal() else float(token.text)
        if number == float("inf"):
            raise self._fault_at(token.start, f"{token.text} is too large for a number with a fraction or an exponent")
        return -number if negative else number

    def _name(self, token: _Token) -> Node:
        if token.text in _CONSTANTS:
            self.position += 1
            return _constant(_CONSTANTS[token.text])
        if token.text == "len" and self._next_is("("):
            self.position += 2
            inner = self._either()
            self._expect(")")
            return lambda names, judge: judge.length(inner(names, judge))
        if self._next_is("("):
            raise self._fault(f"unknown function {token.text!r}", "the only function is len(...)")
        if token.text in _WORDS - {"len"}:
            raise self._fault(f"a value is missing before {token.text!r}")
        return self._path()

    def _path(self) -> Node:
        parts = [self._identifier()]
        while True:
            if self._take("."):
                parts.append(self._identifier())
            elif self._take("["):
                parts.append(self._quoted_part())
            else:
                return self._reach(tuple(parts))

    def _reach(self, path: Path) -> Node:
        self.paths.append(path)
        return lambda names, _judge: look_up(path, names)

    def _quoted_part(self) -> str:
        if self._peek().kind != "text":
            raise self._fault("a part in brackets is a text in quotes")
        part = str(self._literal())
        self._expect("]")
        return part

    def _identifier(self) -> str:
        token = self._peek()
        if token.kind not in {"name", "number"} or "." in token.text:
            raise self._fault("a name is missing")
        if token.kind == "name" and token.text.startswith("__"):
            raise self._fault(f"{token.text!r} is no name of a value")
        self.position += 1
        return token.text

    def _list(self) -> Node:
        items: list[Node] = []
        while not self._take("]"):
            if items:
                self._expect(",")
            items.append(self._either())
        return lambda names, judge: [item(names, judge) for item in items]

    def _peek(self) -> _Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else _END

    def _next_is(self, text: str) -> bool:
        following = self.tokens[self.position + 1 : self.position + 2]
        return bool(following) and following[0].kind == "sign" and following[0].text == text

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token.kind in {"sign", "name"} and token.text == text:
            self.position += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._fault(f"{text!r} is missing")

    def _fault(self, complaint: str, hint: str = "") -> ExpressionError:
        token = self._peek()
        return self._fault_at(len(self.text) if token is _END else token.start, complaint, hint)

    def _fault_at(self, position: int, complaint: str, hint: str = "") -> ExpressionError:
        return ExpressionError(
            f"the condition {_short(self.text)!r} cannot be read at character {position + 1}: {complaint}",
            op="condition.parse",
            hint=hint or "comparisons, in, and, or, not, len(...), texts in quotes, numbers, lists and names are known",
        )


def _first(parts: list[Node], *, stop_at: bool) -> Node:
    def node(names: Names, judge: Judge) -> Any:
        value = None
        for part in parts:
            value = part(names, judge)
            if judge.truth(value) is stop_at:
                break
        return value

    return node


def _chain(first: Node, links: list[tuple[str, Node]]) -> Node:
    def node(names: Names, judge: Judge) -> bool:
        left = first(names, judge)
        for sign, operand in links:
            right = operand(names, judge)
            if not judge.compare(sign, left, right):
                return False
            left = right
        return True

    return node


def _constant(value: Any) -> Node:
    return lambda _names, _judge: value


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
