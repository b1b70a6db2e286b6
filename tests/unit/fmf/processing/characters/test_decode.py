"""Bytes become characters strictly, or an error says where they do not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fmf.errors import ProcessingError
from fmf.processing.characters.decode import decoded, encoding_of, looks_binary
from unit.fmf.processing.memory import source_of

TEXTS = {
    "french": (
        "Le café coûte très cher à l'Hôtel de Ville, où l'été dernier François a mangé une crème brûlée. ",
        "cp1252",
    ),
    "quotes": ("“Quoted” — with dashes… and €5 ‘prices’ in an English text. ", "cp1252"),
    "german": ("Die Größe der Straße überrascht: Äpfel, Öl und Übung, sagt Frau Müller. ", "cp1252"),
    "polish": ("Zażółć gęślą jaźń. Wczoraj byłem w Łodzi i spotkałem żonę Józefa. ", "cp1250"),
    "polish iso": ("Zażółć gęślą jaźń. Wczoraj byłem w Łodzi i spotkałem żonę Józefa. ", "iso8859_2"),
    "czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy. Včera jsem šel domů. ", "cp1250"),
    "turkish": ("Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul'da güneş doğdu. ", "cp1254"),
    "russian": ("Съешь же ещё этих мягких французских булок, да выпей чаю. ", "cp1251"),
    "russian koi": ("Съешь же ещё этих мягких французских булок, да выпей чаю. ", "koi8_r"),
    "greek": ("Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Καλημέρα σας. ", "cp1253"),
    "japanese": ("いろはにほへと ちりぬるを。東京は日本の首都である。人口は多い。", "cp932"),
    "chinese": ("敏捷的棕色狐狸跳过了懒狗。今天天气很好，我们去公园吧。", "gb18030"),
    "japanese euc": ("東京は日本の首都である。人口は多い。", "euc_jp"),
    "hebrew": ("שלום עולם, מה שלומך היום? אני בסדר גמור. ", "cp1255"),
    "thai": ("สวัสดีชาวโลก วันนี้อากาศดีมาก ", "tis_620"),
    "croatian": ("Čovjek je šetao ulicom i vidio žutu kuću, što je bilo čudno. ", "cp1250"),
    "croatian iso": ("Čovjek je šetao ulicom i vidio žutu kuću, što je bilo čudno. ", "iso8859_2"),
    "german of DOS": ("Die Größe der Straße überrascht: Äpfel, Öl und Übung, sagt Frau Müller. ", "cp850"),
    "french of the Macintosh": ("L'été dernier à Genève, le café était très cher, voilà. ", "mac_roman"),
    "degrees": ("Bei 20 °C und 30 °C war es schön warm, sagt Frau Müller. ", "cp1252"),
    "korean": ("키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. ", "euc_kr"),
}


def read(data: bytes, name: str = "a.txt") -> str:
    with source_of(data, name) as source:
        return "".join(decoded(source, encoding_of(source)))


CONTROLS = "".join(map(chr, set(range(32)) - set(b"\t\n\v\f\r\x1b\b")))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), min_size=1))
def test_utf8_comes_back_as_it_was(text):
    assume(not text.startswith("\ufeff"))
    assert read(text.encode()) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed_and_left_out(encoding):
    text = "Grüße an Zoë, 東京 🧠\r\n" * 3
    assert read(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-32-be"])
def test_big_endian_marks_too(encoding):
    text = "\ufeffGrüße"
    assert read(text.encode(encoding)) == "Grüße"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark_is_told_by_its_zeros(encoding):
    text = "Plain English text, with Grüße.\n" * 2
    assert read(text.encode(encoding)) == text
    with source_of(text.encode(encoding)) as source:
        assert encoding_of(source).guessed


@pytest.mark.parametrize("times", [1, 400])
@pytest.mark.parametrize("which", TEXTS)
def test_older_encodings_are_guessed(which, times):
    text, encoding = TEXTS[which]
    with source_of((text * times).encode(encoding)) as source:
        found = encoding_of(source)
        assert found.guessed
        assert "".join(decoded(source, found)) == text * times


def test_a_rare_accent_far_behind_the_sample_is_met():
    text = "plain text only. " * 300_000 + "Et voilà, un café. " + "more of it. " * 1000
    assert read(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Text with a \0 in it, which is no text at all.", "is binary"),
        (bytes(range(256)) * 20, "is binary"),
        (bytes(range(1, 256)) * 20, "is binary"),
        (("Grüße aus Köln. " * 20).encode() + b"\xff and more", "is no valid utf-8: byte 380 of"),
        (("Grüße aus Köln. " * 20 + "ü").encode()[:-1], "is no valid utf-8: byte 380 of"),
        (b"\xff\xfeabc", "is no valid utf-16-le: byte 4 of"),
        (b"\xff\xfe" + "ab".encode("utf-16-le") + b"\x00\xd8", "is no valid utf-16-le"),
        (b"\xff\xfea\0\0\0b\0", "is binary"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(data, message):
    with pytest.raises(ProcessingError, match=message) as caught:
        read(data)
    assert caught.value.hint


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_processing_error(data):
    try:
        text = read(data)
    except ProcessingError:
        return
    assert "\0" not in text
    assert "\ufffd" not in text or b"\xef\xbf\xbd" in data or b"\xff" in data or 0 in data
    text.encode()


def test_binary_is_told_from_text():
    assert looks_binary(b"\x7fELF\0\0")
    assert looks_binary(bytes(range(1, 32)) * 5)
    assert not looks_binary("Ein Text.\n".encode("utf-16"))
    assert not looks_binary("Grüße\n\t\x1b[0m".encode())
    assert not looks_binary(b"")


def test_what_is_mostly_control_characters_is_binary_although_it_is_valid_utf_8():
    with source_of(b"ab" + bytes(range(1, 9)) * 40) as source, pytest.raises(ProcessingError, match="look at byte 2"):
        encoding_of(source)
    divided = b"8=FIX.4.4\x0135=D\x0155=PLUM\x0154=1\x01" * 40
    with source_of(divided) as source:
        assert encoding_of(source).name == "utf-8"
