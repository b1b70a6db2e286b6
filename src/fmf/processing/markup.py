"""XML of documents, read piece by piece: no document type, no entities, no endless depth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, XMLParser, XMLPullParser
from xml.parsers import expat

DEEPEST: Final = 256
"""Elements inside one another, at most."""
LARGEST_TREE: Final = 64_000_000
"""Bytes of a part that is held in memory as a whole, at most."""
LONGEST_PROLOG: Final = 1_000_000
"""Bytes before the first element, at most."""

_locals: dict[str, str] = {}


class MarkupError(ValueError):
    """The XML is not well formed, or holds what documents must not hold."""


def local(tag: str) -> str:
    """The name of an element or attribute without its namespace."""
    name = _locals.get(tag)
    if name is None:
        if len(_locals) > 10_000:  # names that a file made up
            _locals.clear()
        name = _locals[tag] = tag.rpartition("}")[2]
    return name


def attribute(element: Element, name: str) -> str | None:
    """The attribute of that name in whichever namespace."""
    value = element.get(name)
    if value is not None:
        return value
    return next((value for key, value in element.attrib.items() if local(key) == name), None)


def outermost(blocks: Iterable[bytes], wanted: Collection[str]) -> Iterator[Element]:
    """The elements with one of the `wanted` local names that stand in no other one of them, each whole, in order.

    Each is emptied when the next one is asked for, so that memory does not grow with the length of the part.

    Raises:
        MarkupError: the XML is not well formed, has a document type, or goes deeper than `DEEPEST`.
    """
    open_elements: list[Element] = []
    inside = 0  # how many elements are open when the outermost wanted one is the last of them
    for event, element in _events(blocks):
        if event == "start":
            open_elements.append(element)
            if not inside and local(element.tag) in wanted:
                inside = len(open_elements)
            if len(open_elements) > DEEPEST:
                raise MarkupError(f"elements are nested more than {DEEPEST} deep")
            continue
        at = len(open_elements)
        open_elements.pop()
        if inside and at > inside:
            continue
        if at == inside:
            yield element
            inside = 0
        element.clear()
        if open_elements:
            open_elements[-1].remove(element)


def tree(blocks: Iterable[bytes]) -> Element:
    """A whole part.

    Raises:
        MarkupError: see `outermost`; or it is larger than `LARGEST_TREE`.
    """
    parser, prolog = XMLParser(), _Prolog()  # noqa: S314 - the prolog refuses what could harm
    with _faults():
        for block in _bounded(blocks):
            prolog.feed(block)
            parser.feed(block)
        root: Element = parser.close()
    # Level by level: asking for every start and end of an element would take three times as long as the parsing.
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise MarkupError(f"elements are nested more than {DEEPEST} deep")
        level = list(chain.from_iterable(filter(len, level)))
    return root


def _bounded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > LARGEST_TREE:
            raise MarkupError(f"a part of it has more than {LARGEST_TREE:,} bytes")
        yield block


def _events(blocks: Iterable[bytes]) -> Iterator[tuple[str, Element]]:
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    prolog = _Prolog()
    with _faults():
        for block in blocks:
            prolog.feed(block)
            parser.feed(block)
            yield from parser.read_events()  # type: ignore[misc]  # the two kinds that were asked for
        parser.close()
        yield from parser.read_events()  # type: ignore[misc]


@contextmanager
def _faults() -> Iterator[None]:
    """Says of what a parser does not understand that it is no XML."""
    try:
        yield
    except (ParseError, expat.ExpatError) as error:
        raise MarkupError(f"its XML is not well formed: {error}") from error
    except (LookupError, ValueError) as error:
        if isinstance(error, MarkupError):
            raise
        raise MarkupError(f"its XML cannot be decoded: {error}") from error


class _Prolog:
    """Looks at what stands before the first element, and refuses a document type: only there entities are declared."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._done
        self._over = False
        self._step = 512
        self._seen = 0

    def feed(self, block: bytes) -> None:
        if self._over:
            return
        # In steps that grow: what follows the first element is for the other parser, and what has no end yet, such as a
        # long comment, is looked at anew in every step.
        at = 0
        while at < len(block) and not self._over:
            self._parser.Parse(block[at : at + self._step], False)  # noqa: FBT003 - the parser takes it by place
            at += self._step
            self._step *= 2
        self._seen += len(block)
        if self._seen > LONGEST_PROLOG and not self._over:
            raise MarkupError(f"more than {LONGEST_PROLOG:,} bytes stand before its first element")

    def _done(self, *_: Any) -> None:
        self._over = True

    def _refuse(self, *_: Any) -> None:
        raise MarkupError("it declares a document type or entities, which documents of this kind never do")
