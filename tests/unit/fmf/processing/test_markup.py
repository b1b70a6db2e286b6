"""XML of documents: piece by piece, without entities, not endlessly deep."""

from __future__ import annotations

import weakref

import pytest

from fmf.processing.markup import DEEPEST, LARGEST_TREE, MarkupError, attribute, local, outermost, tree

LAUGHS = (
    '<!DOCTYPE a [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 10))
    + "]><a>&l9;</a>"
)


def texts(data: str | bytes, *wanted: str, size: int = 7) -> list[str]:
    data = data.encode() if isinstance(data, str) else data
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    return ["".join(element.itertext()) for element in outermost(blocks, wanted)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_outermost_elements_come_whole_and_in_order(size):
    data = '<b xmlns="x"><s><p>one<p>in</p></p>between</s><t><p>two</p></t><p/>'
    assert texts(data + "<p>drei</p></b>", "p", "t", size=size) == ["onein", "two", "", "drei"]


def test_elements_leave_memory_once_their_block_was_used():
    found = outermost([b"<b><p>one</p><p>two</p><p>three", b"</p></b>"], {"p"})
    first, second = weakref.ref(next(found)), next(found)
    assert next(found).text == "three"
    assert first() is None
    assert second.text == "two"


def test_what_stands_before_a_fault_is_given_first():
    found = outermost([b"<b>" + b"<p>one</p>" * 100 + b"</c>"], {"p"})
    assert next(found).text == "one"
    with pytest.raises(MarkupError, match="not well formed"):
        list(found)


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        '<?xml version="1.0"?><!-- x --><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        LAUGHS.encode("utf-16"),
        f"<!--{'x' * 9_000}-->{LAUGHS}",
    ],
)
def test_document_types_and_entities_are_refused(data):
    with pytest.raises(MarkupError, match="document type"):
        texts(data, "a")
    with pytest.raises(MarkupError, match="document type"):
        tree([data.encode() if isinstance(data, str) else data])


@pytest.mark.parametrize("data", ["<a><b></a>", "<a>", "", "<a/><b/>", "<a>&unknown;</a>", b"<a>\xff\xfe</a>", b"\0\0"])
def test_what_is_not_well_formed_is_one_error(data):
    with pytest.raises(MarkupError):
        texts(data, "a")
    with pytest.raises(MarkupError):
        tree([data.encode() if isinstance(data, str) else data])


def test_what_stands_before_the_first_element_is_bounded():
    block = b"x" * 65_536
    with pytest.raises(MarkupError, match="before its first element"):
        tree([b"<!--", *[block] * 20, b"--><a/>"])
    assert tree([b"<!--", *[block] * 10, b"--><a/>"]).tag == "a"


def test_unknown_encodings_are_one_error():
    with pytest.raises(MarkupError):
        texts('<?xml version="1.0" encoding="no-such"?><a/>', "a")


def test_depth_is_bounded():
    deep = "<a>" * DEEPEST + "</a>" * DEEPEST
    assert texts(deep, "a") == [""]
    assert tree([deep.encode()]).tag == "a"
    with pytest.raises(MarkupError, match="nested"):
        texts(f"<a>{deep}</a>", "b")
    with pytest.raises(MarkupError, match="nested"):
        tree([f"<a>{deep}</a>".encode()])


def test_a_tree_has_a_largest_size():
    def blocks():
        yield b"<a>"
        for _ in range(LARGEST_TREE // 1_000_000 + 1):
            yield b"x" * 1_000_000

    with pytest.raises(MarkupError, match="more than"):
        tree(blocks())


def test_names_without_their_namespaces():
    element = tree([b'<a xmlns:w="x" w:val="1" id="2"/>'])
    assert local("{x}val") == "val"
    assert attribute(element, "val") == "1"
    assert attribute(element, "id") == "2"
    assert attribute(element, "none") is None
