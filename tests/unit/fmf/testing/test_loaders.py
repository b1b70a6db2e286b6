"""The exam of loaders finds what a loader does wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar

import pytest

from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Loaded, Mark
from fmf.processing.loaders.text import load
from fmf.testing import LoaderExam

COUNTER = itertools.count()


def lines(source, settings) -> Loaded:
    """A small loader that does all that it must."""

    def pieces() -> Iterator[str | Mark]:
        text = b"".join(source.blocks()).decode("ascii", "ignore").replace("\r", "")
        yield Mark("rows", number=1)
        yield from (line + "\n" for line in text.split("\n"))

    return Loaded(pieces(), title="lines", metadata={"lines": "some"})


class TestTheTextLoader(LoaderExam):
    words: ClassVar = {"a.txt": ["brake", "rain"]}

    def make_loader(self):
        return load

    def make_files(self):
        return {"a.txt": b"The brake squeals\r\nin the rain.\r\n" * 20, "b.txt": "Grüße".encode("utf-16")}

    def make_large_file(self):
        return "large.txt", b"words and words\n" * 500_000


class TestASmallLoader(TestTheTextLoader):
    def make_loader(self):
        return lines


def failing_with(error):
    def broken(source, settings):
        raise error

    return broken


def giving(*pieces, **more):
    return lambda source, settings: Loaded(iter(pieces), **more)


def by_name(source, settings):
    return Loaded(iter([source.ref.name]))


def by_chance(source, settings):
    return Loaded(iter([f"{next(COUNTER)}"]))


def closing(source, settings):
    source.stream.close()
    return Loaded(iter(["text"]))


def unnamed(source, settings):
    if source.head.startswith(b"The"):
        return lines(source, settings)
    raise ProcessingError("it is broken", op="x.load", hint="mend it")


@pytest.mark.parametrize(
    ("loader", "test", "said"),
    [
        (giving(" \n"), "test_the_text_is_there", "there is no text"),
        (giving("a\ufffdb"), "test_the_text_is_there", "was replaced"),
        (giving("a\r\n"), "test_the_text_is_there", "lines end with"),
        (giving("rain brake"), "test_the_text_is_there", "'rain' is not in the text"),
        (giving(Mark("page", 2), "a", Mark("page", 1), "b"), "test_marks_are_in_order", "follows page 2"),
        (giving(Mark("page", 0), "a"), "test_marks_are_in_order", "counts from 1"),
        (giving(Mark("sheet", 1, " "), "a"), "test_marks_are_in_order", "blank name"),
        (giving(Mark("rows", 1), "a\nb\n", Mark("rows", 2), "c"), "test_marks_are_in_order", "row 3 is due"),
        (giving("a", Mark("rows", 1), "a\n"), "test_marks_are_in_order", "start of a line"),
        (giving("a", title=" "), "test_metadata_is_json_and_the_title_a_text", "the title is"),
        (giving("a", metadata={"a": (1,)}), "test_metadata_is_json_and_the_title_a_text", "no plain JSON"),
        (by_name, "test_the_same_bytes_give_the_same_text_whatever_their_name", "its text is another"),
        (by_chance, "test_the_same_bytes_give_the_same_text_whatever_their_name", "its text is another"),
        (giving("x" * 5_000_000, "y"), "test_text_comes_in_pieces_and_may_be_left_early", "5000000 characters"),
        (giving("x" * 5_000_000), "test_text_comes_in_pieces_and_may_be_left_early", "one piece"),
        (closing, "test_text_comes_in_pieces_and_may_be_left_early", "closed a stream"),
        (failing_with(KeyError("x")), "test_damaged_files_are_one_clear_error_or_text", "KeyError instead of"),
        (unnamed, "test_damaged_files_are_one_clear_error_or_text", "does not name the file"),
    ],
)
def test_a_loader_that_does_wrong_fails_the_exam(loader, test, said):
    class Exam(LoaderExam):
        words: ClassVar = {"a.txt": ["brake", "rain"]}

        def make_loader(self):
            return loader

        def make_files(self):
            return {"a.txt": b"The brake squeals in the rain."}

        def make_large_file(self):
            return "large.txt", b"words"

    with pytest.raises(AssertionError, match=said):
        getattr(Exam(), test)()
