"""What bytes say of their encoding is found, and understood as it is meant in practice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.errors import ProcessingError
from fmf.processing.characters.declared import codec_of, declared_codec
from fmf.processing.characters.decode import decoded, encoding_of
from unit.fmf.processing.memory import source_of


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("utf-8", "utf-8"),
        ("UTF8", "utf-8"),
        ("ISO-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("us-ascii", "cp1252"),
        ("gb2312", "gb18030"),
        ("Shift_JIS", "cp932"),
        ("ks_c_5601-1987", "cp949"),
        ("iso-8859-8-i", "iso8859-8"),
        ('"koi8-r"', "koi8-r"),
        ("windows-1251", "cp1251"),
        ("plum", None),
        ("", None),
        ("base64", None),
        ("unicode_escape", None),
        ("rot13", None),
        ("\0", None),
    ],
)
def test_labels_are_codecs_and_nothing_else_is(label, codec):
    assert codec_of(label) == codec


@given(st.text(max_size=30))
def test_any_label_is_a_codec_or_nothing(label):
    codec = codec_of(label)
    assert codec is None or "a".encode(codec)


@pytest.mark.parametrize(
    ("head", "markup", "codec"),
    [
        (b'<?xml version="1.0" encoding="ISO-8859-2"?><a/>', False, "iso8859-2"),
        (b"<?xml version='1.0'?><a encoding='koi8-r'/>", False, None),
        (b'<meta charset="windows-1251">', True, "cp1251"),
        (b'<meta charset="windows-1251">', False, None),
        (b'<META HTTP-EQUIV=Content-Type CONTENT="text/html; charset=EUC-JP">', True, "euc_jp"),
        (b"<!-- <meta charset=koi8-r> --><meta charset=big5>", True, "big5hkscs"),
        (b"<meta charset=utf-16>", True, "utf-8"),
        (b"<meta charset=utf-7>", True, None),
        (b" " * 5000 + b"<meta charset=koi8-r>", True, None),
    ],
)
def test_declarations_are_found_where_they_count(head, markup, codec):
    assert declared_codec(head, markup=markup) == codec


def read(data: bytes, declared: str | None = None) -> tuple[str, str, bool]:
    with source_of(data) as source:
        found = encoding_of(source, declared=declared)
        return "".join(decoded(source, found)), found.name, found.guessed


def test_a_declared_encoding_is_believed_where_all_of_the_file_is_valid_in_it():
    assert read("Зима".encode("koi8-r"), "koi8_r") == ("Зима", "koi8_r", False)
    xml = '<?xml version="1.0" encoding="windows-1251"?><a>Зима</a>'
    assert read(xml.encode("cp1251"))[0] == xml


def test_a_declaration_that_is_a_lie_is_passed_over():
    assert read("Größe und Straße".encode(), "cp1252") == ("Größe und Straße", "utf-8", False)
    assert read("Die Größe der Straße".encode("cp1252"), "euc_jp")[:2] == ("Die Größe der Straße", "cp1252")
    assert read(b"plain", "cp932")[:2] == ("plain", "utf-8")


def test_bytes_that_are_utf8_by_chance_are_what_they_are_declared():
    assert "模一".encode("gb18030").decode("utf-8") != "模一"
    assert read("模一".encode("gb18030"), "gb18030")[0] == "模一"


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_kr"])
def test_escaped_alphabets_are_told_from_colours_of_a_terminal(encoding):
    text = {"iso2022_jp": "東京は日本の首都", "iso2022_kr": "한국의 수도는 서울"}[encoding] + " and more\n"
    assert read(text.encode(encoding)) == (text, encoding, True)
    coloured = "\x1b[31mred\x1b[0m \x1b(Bplain"
    assert read(coloured.encode()) == (coloured, "utf-8", False)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        "Съешь же ещё этих мягких французских булок, да выпей чаю.\n",
        "東京は日本の首都である。人口は多い。\n",
        "敏捷的棕色狐狸跳过了懒狗。今天天气很好，我们去公园吧。\r\n",
        "שלום עולם, מה שלומך היום?\n",
        "키스의 고유조건은 입술끼리 만나야 하고\n",
    ],
)
def test_utf16_without_a_mark_is_told_in_scripts_that_have_few_zeros(text, encoding):
    assert read((text * 4).encode(encoding)) == (text * 4, encoding, True)


@given(st.binary(max_size=200), st.sampled_from(["cp1252", "gb18030", "euc_jp", "iso2022_jp", "utf-8", "cp1255"]))
def test_any_bytes_under_any_declaration_are_text_or_a_processing_error(data, declared):
    try:
        text, _, _ = read(data, declared)
    except ProcessingError:
        return
    text.encode()
    assert "\ufffd" not in text or b"\xef\xbf\xbd" in data or declared == "gb18030" or b"\xff" in data or 0 in data
