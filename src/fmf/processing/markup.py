"""XML of documents, read piece by piece: no document type, no entities, no endless depth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
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

    What is whole is taken out of the tree with every block, so that memory does not grow with the length of the part.

    Raises:
        MarkupError: the XML is not well formed, has a document type, or goes deeper than `DEEPEST`.
    """
    # The tree is looked at while it grows: an event for each start and end would take three times as long.
    growing = TreeBuilder()
    parser, prolog = XMLParser(target=growing), _Prolog()  # noqa: S314 - the prolog refuses what could harm
    with _faults():
        for block in blocks:
            prolog.feed(block)
            fault = None
            try:
                parser.feed(block)
            except ParseError as error:
                fault = error
            if (root := growing.close()) is not None:
                yield from _grown(root, wanted)
            if fault:
                raise fault
        root = parser.close()
    _check_depth([root], 0)
    yield from _outermost([root], wanted)


def _grown(root: Element, wanted: Collection[str]) -> Iterator[Element]:
    """What is wanted of all that is whole, which leaves the tree; an element that is the last one may not be whole."""
    element, depth = root, 1
    while local(element.tag) not in wanted and len(element):
        whole = element[:-1]
        del element[:-1]
        _check_depth(whole, depth)
        yield from _outermost(whole, wanted)
        element = element[0]
        depth += 1
    while len(element):
        element = element[-1]
        depth += 1
    if depth > DEEPEST:
        raise _too_deep()


def _outermost(elements: Iterable[Element], wanted: Collection[str]) -> Iterator[Element]:
    for element in elements:
        if local(element.tag) in wanted:
            yield element
        else:
            yield from _outermost(element, wanted)


def _check_depth(elements: list[Element], depth: int) -> None:
    """Raise where something in them, which stand in `depth` others, is nested too deep."""
    # Level by level: asking for every start and end of an element would take three times as long as the parsing.
    while elements:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        elements = list(chain.from_iterable(filter(len, elements)))  # type: ignore[arg-type]  # as it takes all sized


def _too_deep() -> MarkupError:
    return MarkupError(f"elements are nested more than {DEEPEST} deep")


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
    _check_depth([root], 0)
    return root


def _bounded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > LARGEST_TREE:
            raise MarkupError(f"a part of it has more than {LARGEST_TREE:,} bytes")
        yield block


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
