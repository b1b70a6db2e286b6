"""Plain text, and what is read as it is: XML too, whatever it declares."""

from __future__ import annotations

from typing import ClassVar

from fmf.config.models import ProcessingConfig, TextConfig
from fmf.processing.loaders.text import load
from fmf.testing import LoaderExam
from unit.fmf.processing.memory import source_of

LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]>\n<a>&c;</a>\n'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>\n<a>&b;</a>\n'


class TestTextSitsTheExam(LoaderExam):
    words: ClassVar = {"a.txt": ["brake", "Grüße"]}

    def make_loader(self):
        return load

    def make_files(self):
        return {"a.txt": "The brake:\r\nGrüße\r\n".encode(), "b.xml": LAUGHS.encode("utf-16")}

    def make_large_file(self):
        return "large.txt", b"words and words\n" * 500_000


def text_of(data: str, **settings) -> str:
    with source_of(data.encode(), "a.xml") as source:
        return "".join(load(source, ProcessingConfig(text=TextConfig(**settings))).pieces)


def test_entities_of_xml_are_never_expanded():
    assert text_of(LAUGHS) == LAUGHS
    assert text_of(OUTSIDE) == OUTSIDE


def test_white_space_is_made_uniform_unless_it_is_to_stay():
    assert text_of("a \n\n\n\nb\t\n") == "a\n\nb\n"
    assert text_of("a \r\n\n\n\nb\t\n", normalize_whitespace=False) == "a \n\n\n\nb\t\n"
