"""Messages of Outlook give the same text as others."""

from __future__ import annotations

import struct
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bad_input.made import ole
from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.mail import msg as loader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.memory import source_of

MESSAGE = 0x001F
BINARY = 0x0102
NUMBER = 0x0003


def properties(values: dict[int, str | bytes | int], header: int) -> dict[str, Any]:
    """The streams that hold these values, text, bytes or numbers by their property ids."""
    rows, streams = b"", {}
    for number, value in values.items():
        if isinstance(value, int):
            rows += struct.pack("<HHIII", NUMBER, number, 6, value, 0)
            continue
        kind = MESSAGE if isinstance(value, str) else BINARY
        data = value.encode("utf-16-le") if isinstance(value, str) else value
        streams[f"__substg1.0_{number:04X}{kind:04X}"] = data
        rows += struct.pack("<HHIII", kind, number, 6, len(data), 0)
    return {**streams, "__properties_version1.0": bytes(header) + rows}


def message(values: dict[int, str | bytes | int], people: list[Any] = (), files: list[Any] = (), **more: int) -> dict:
    tree = properties(values, more.get("header", 32))
    for number, person in enumerate(people):
        tree[f"__recip_version1.0_#{number:08X}"] = properties(person, 8)
    for number, file in enumerate(files):
        tree[f"__attach_version1.0_#{number:08X}"] = file
    return tree


def file(name: str, data: bytes, kind: str = "text/plain") -> dict[str, Any]:
    return properties({0x3707: name, 0x370E: kind, 0x3701: data, 0x3705: 1}, 8)


PLUMS: dict[int, str | bytes | int] = {
    0x001A: "IPM.Note",
    0x0037: "Plüms",
    0x0C1A: "Ann Example",
    0x5D01: "ann@example.org",
    0x1000: "A plum is a fruit.\r\n",
}
PEOPLE = [
    {0x3001: "Bob", 0x39FE: "bob@example.org", 0x0C15: 1},
    {0x3001: "Carl", 0x3003: "/o=Plum/cn=carl", 0x0C15: 2},
]


def load(tree: dict[str, Any] | bytes, **config):
    data = tree if isinstance(tree, bytes) else ole.compound(tree)
    with source_of(data, "a.msg") as source:
        loaded = loader.load(source, ProcessingConfig(**config))
        pieces = list(loaded.pieces)
        return (
            "".join(each for each in pieces if isinstance(each, str)),
            loaded,
            [each for each in pieces if isinstance(each, Mark)],
        )


class TestExam(LoaderExam):
    words: ClassVar = {"a.msg": ["Subject: Plüms", "A plum is a fruit.", "Attachment: n.txt", "some notes"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.msg": ole.compound(message(PLUMS, PEOPLE, [file("n.txt", b"some notes")]))}


def test_headers_body_and_attachments():
    text, loaded, marks = load(message(PLUMS, PEOPLE, [file("n.txt", b"some notes"), file("x.bin", b"\0\1")]))
    assert text.startswith(
        "From: Ann Example <ann@example.org>\nTo: Bob <bob@example.org>\nCc: Carl\nSubject: Plüms\n\nA plum is a fruit."
    )
    assert "Attachment: n.txt (text/plain, 10 bytes)\n\nsome notes" in text
    assert [mark.name for mark in marks] == ["n.txt", "x.bin"]
    assert loaded.title == "Plüms"
    assert [each["status"] for each in loaded.metadata["attachments"]] == ["read", "listed"]


def test_without_a_plain_body_the_page_is_read_in_its_own_encoding():
    values = {**PLUMS, 0x1000: " ", 0x1013: "<h1>Größe</h1>".encode("cp1252"), 0x3FDE: 1252}
    text, loaded, _ = load(message(values))
    assert "# Größe" in text
    assert loaded.markdown


def test_a_message_inside_is_read():
    inner = message({**PLUMS, 0x0037: "Inner", 0x1000: "pear"}, header=24)
    attached = {**properties({0x3705: 5, 0x3001: "Inner"}, 8), "__substg1.0_3701000D": inner}
    text, _, marks = load(message(PLUMS, files=[attached]))
    assert "Attached message: Inner" in text
    assert "pear" in text
    assert [mark.name for mark in marks] == ["Inner"]


@pytest.mark.parametrize(
    "tree",
    [
        message({**PLUMS, 0x001A: "IPM.Note.SMIME"}),
        message({**PLUMS, 0x1000: ""}, files=[file("a.asc", b"Version: 1", "application/pgp-encrypted")]),
    ],
)
def test_what_is_encrypted_is_refused_with_one_reason(tree):
    with pytest.raises(ProcessingError, match=r"memory://a\.msg: the message is encrypted") as caught:
        load(tree)
    assert "without encryption" in caught.value.hint


def test_text_that_is_there_as_rtf_only_is_refused():
    values = {**PLUMS, 0x1009: b"LZFu"}
    del values[0x1000]
    with pytest.raises(ProcessingError, match="as RTF only"):
        load(message(values))


def test_text_that_is_not_read_is_told_where_something_else_of_the_message_is():
    rtf = {number: value for number, value in PLUMS.items() if number != 0x1000} | {0x1009: b"LZFu"}
    text, loaded, _ = load(message(rtf, files=[file("n.txt", b"some notes")]))
    assert "Subject: Plüms\n\n(its text is RTF, which is not read)\n" in text
    assert "some notes" in text
    assert loaded.metadata["unread_body"] == "RTF"
    inner = {**properties({0x3705: 5, 0x3001: "Inner"}, 8), "__substg1.0_3701000D": message(rtf, header=24)}
    text, loaded, _ = load(message(PLUMS, files=[inner]))
    assert "(its text is RTF, which is not read)" in text
    assert "unread_body" not in loaded.metadata
    assert loaded.metadata["attachments"][0]["unread_body"] == "RTF"


def test_what_is_no_message_or_too_large_is_refused(monkeypatch):
    for data in (b"plum", ole.compound({"other": b"plum"}), ole.encrypted_package()):
        with pytest.raises(ProcessingError, match=r"memory://a\.msg"):
            load(data)
    monkeypatch.setattr(loader, "LARGEST", 100)
    with pytest.raises(ProcessingError, match="it has more than"):
        load(message(PLUMS))


WHOLE = ole.compound(message(PLUMS, PEOPLE, [file("n.txt", b"some notes")]))


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=40))
def test_any_damage_is_text_or_a_processing_error(at, noise):
    try:
        text, _, _ = load(WHOLE[:at] + noise + WHOLE[at + len(noise) :])
    except ProcessingError:
        return
    text.encode()
