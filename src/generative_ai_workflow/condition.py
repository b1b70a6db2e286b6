"""Conditions: a small language for yes or no over the values of a run, read by hand and never by Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from generative_ai_workflow.exceptions import ExpressionError, TemplateError
from generative_ai_workflow.reference import Path, look_up

LONGEST_TEXT = 2_000
MOST_TOKENS = 500
DEEPEST = 32

Names = Mapping[str, Any]
Node = Callable[[Names], Any]


class Condition:
    """A condition that can be asked again and again.

        Condition("len(items) > 3 and not (lang in ['de', 'fr'])").evaluate({"items": [1, 2], "lang": "de"})   # False

    It knows comparisons (`== != < <= > >=`), `in` and `not in`, `and`, `or`, `not`, brackets, `len(...)`, texts in
    quotes, numbers, `true`, `false`, `null`, lists, and names. `a.b` is the part `b` of the mapping `a`; attributes and
    functions cannot be reached. `${a.b}` may be written for `a.b`.

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
            ExpressionError: a name is missing, or two values cannot be compared.
        """
        try:
            return self._node(names)
        except TemplateError as error:
            raise ExpressionError(
                f"the condition {self.text!r} cannot be decided: {error.message}",
                op="condition.evaluate",
                hint=error.hint,
            ) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise ExpressionError(
                f"the condition {self.text!r} cannot be decided: {error}", op="condition.evaluate"
            ) from error

    def __call__(self, names: Names) -> bool:
        """Whether the condition is met."""
        return bool(self.evaluate(names))

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


_TOKEN = re.compile(
    r"""
    \s*(?:
      (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?(?!\w))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>[^\W\d]\w*)
    | (?P<sign>==|!=|<=|>=|\$\{|[<>()\[\],.}\-])
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, whole: _contains(whole, item),
    "not in": lambda item, whole: not _contains(whole, item),
}
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


def _contains(whole: Any, item: Any) -> bool:
    if not isinstance(whole, str | list | tuple | set | frozenset | Mapping):
        raise TypeError(f"nothing can be in a value of type {type(whole).__name__}")
    return item in whole


def _length(value: Any) -> int:
    if not isinstance(value, str | list | tuple | set | frozenset | Mapping):
        raise TypeError(f"a value of type {type(value).__name__} has no length")
    return len(value)


class _Parser:
    """Reads a condition by recursive descent, each rule of the grammar a method.

    either := both {"or" both}        both := negation {"and" negation}      negation := "not" negation | comparison
    comparison := operand {sign operand}
    operand := number | text | constant | name | "len" "(" either ")" | "(" either ")" | "[" [either {"," either}] "]"
    """

    def __init__(self, text: str) -> None:
        self.text = text
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
            found.append(_Token(kind, match[kind], match.start(kind)))
            if len(found) > MOST_TOKENS:
                raise self._fault_at(position, f"more than {MOST_TOKENS} words and signs")
            position = match.end()
        return found

    def _either(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._fault(f"brackets and negations nest deeper than {DEEPEST}")
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else lambda names: _first(parts, names, stop_at=True)

    def _both(self) -> Node:
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else lambda names: _first(parts, names, stop_at=False)

    def _negation(self) -> Node:
        if not self._take("not"):
            return self._comparison()
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._fault(f"brackets and negations nest deeper than {DEEPEST}")
        inner = self._negation()
        self.depth -= 1
        return lambda names: not inner(names)

    def _comparison(self) -> Node:
        first = self._operand()
        links: list[tuple[Callable[[Any, Any], Any], Node]] = []
        while (sign := self._sign()) is not None:
            links.append((_COMPARE[sign], self._operand()))
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
        if self._take("${"):
            node = self._path()
            self._expect("}")
        elif self._take("("):
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
        return -_number(token.text) if negative else _number(token.text)

    def _name(self, token: _Token) -> Node:
        if token.text in _CONSTANTS:
            self.position += 1
            return _constant(_CONSTANTS[token.text])
        if token.text == "len" and self._next_is("("):
            self.position += 2
            inner = self._either()
            self._expect(")")
            return lambda names: _length(inner(names))
        if self._next_is("("):
            raise self._fault(f"unknown function {token.text!r}", "the only function is len(...)")
        if token.text in _WORDS - {"len"}:
            raise self._fault(f"a value is missing before {token.text!r}")
        return self._path()

    def _path(self) -> Node:
        parts = [self._identifier()]
        while self._take("."):
            parts.append(self._identifier())
        path = tuple(parts)
        self.paths.append(path)
        return lambda names: look_up(path, names)

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
        return lambda names: [item(names) for item in items]

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
        shown = self.text if len(self.text) <= 200 else f"{self.text[:200]}…"
        return ExpressionError(
            f"the condition {shown!r} cannot be read at character {position + 1}: {complaint}",
            op="condition.parse",
            hint=hint or "comparisons, in, and, or, not, len(...), texts in quotes, numbers, lists and names are known",
        )


def _first(parts: list[Node], names: Names, *, stop_at: bool) -> Any:
    value = None
    for part in parts:
        value = part(names)
        if bool(value) is stop_at:
            break
    return value


def _chain(first: Node, links: list[tuple[Callable[[Any, Any], Any], Node]]) -> Node:
    def node(names: Names) -> bool:
        left = first(names)
        for compare, operand in links:
            right = operand(names)
            if not compare(left, right):
                return False
            left = right
        return True

    return node


def _constant(value: Any) -> Node:
    return lambda _names: value


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)
