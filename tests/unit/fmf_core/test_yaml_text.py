from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf_core.errors import Code, ConfigurationError
from fmf_core.yaml_text import load_yaml, load_yaml_file, parse_path, path_text


def data(text: str | bytes):
    return load_yaml(text, source="f.yaml").data


def refusal(text: str | bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_yaml(text, source="f.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("no", "no"), ("yes", "yes"), ("on", "on"), ("NO", "NO"), ("n", "n"),
        ("null", None), ("~", None), ("", None), ("'null'", "null"), ('"~"', "~"),
        ("12", 12), ("-3", -3), ("+3", 3), ("010", 10), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"),
        ("9" * 301, "9" * 301), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), ("-.inf", float("-inf")),
        ("2024-10-21", "2024-10-21"), ("2024-10-21 10:00:00", "2024-10-21 10:00:00"), ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"), ("=", "="), ("!!str 12", "12"), ("! 12", "12"), ("!!float 1", 1.0), ("!!int '3'", 3),
        ("!!null ''", None), ("!!bool true", True), ("[]", []), ("{}", {}), ("!!seq [1]", [1]),
        ("!!map {a: 1}", {"a": 1}),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value):
    assert data(f"x: {text}\n") == {"x": value}
    assert type(data(f"x: {text}\n")["x"]) is type(value)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\n\n", "\ufeff"])
def test_an_empty_text_is_none(text):
    assert data(text) is None


def test_bytes_with_a_mark_of_order_and_a_document_end():
    assert data(b"\xef\xbb\xbfa: \xc3\xa9\n...\n") == {"a": "é"}


def test_aliases_and_merges():
    text = "base: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\nd:\n  <<: [{z: 1}, *b]\ne: *b\n"
    read = data(text)
    assert read["c"] == {"x": 1, "y": 3}
    assert read["d"] == {"z": 1, "x": 1, "y": 2}
    read["e"]["x"] = 9
    assert read["base"]["x"] == 1


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a:\n\tb: 1", "2:1", "a tab"),
        ("a: 1\nb: 2\na: 3", "3:1", "second time"),
        ("{a: 1, a: 2}", "1:8", "second time"),
        ("a:\n  b: 1\n c: 2", "3:2", "indentation"),
        ("- a\nb: 1", "2:1", "indentation"),
        ("a: b: c", "1:5", "does not fit"),
        ("a: @x", "1:4", "cannot begin with '@'"),
        ("a: 'x", "1:6", "ends inside"),
        ("a: [1", "2:1", "expected ',' or ']'"),
        ("a: 1\n---\nb: 2", "2:1", "second document"),
        ("1: x", "1:1", "not text"),
        ("true: x", "1:1", "not text"),
        ("~: x", "1:1", "not text"),
        ("2.5: x", "1:1", "not text"),
        ("[a]: x", "1:1", "a key must be text"),
        ("? {a: 1}\n: x", "1:3", "a key must be text"),
        ("a: &k k\n*k : 1", "2:1", "a key must be text"),
        ("a: \x00", "1:4", "U+0000"),
        ("ok: 1\na: \x1b[31m", "2:4", "U+001B"),
        ("a: *nothing", "1:4", "refers to nothing"),
        ("a: &a [*a]", "1:8", "or to itself"),
        ("a: !!python/object/apply:os.system ['x']", "1:4", "not supported"),
        ("a: !env X", "1:4", "not supported"),
        ("a: !!binary aGk=", "1:4", "not supported"),
        ("a: !!timestamp 2024-10-21", "1:4", "not supported"),
        ("!!set {a, b}", "1:1", "not supported"),
        ("a: !!int x", "1:4", "no int"),
        ("a: !!int true", "1:4", "no int"),
        ("a: {<<: 3}", "1:5", "takes an alias"),
        (b"ok: 1\na: \xff", "2:4", "0xFF is not UTF-8"),
        ("a: 1".encode("utf-16"), "1:1", "not UTF-8"),
        ("[" * 100_000, "1:66", "nested deeper"),
        ("%foo\n---\na: 1", "1:5", "directive"),
    ],
)
def test_everything_else_is_refused_with_its_place(text, place, words):
    error = refusal(text)
    assert error.message.startswith(f"f.yaml:{place}: ")
    assert words in error.message
    assert error.hint
    assert f"{error.fields['line']}:{error.fields['column']}" == place


def test_utf16_is_named():
    assert "UTF-16" in refusal("a: 1".encode("utf-16")).hint


def test_aliases_cannot_multiply_without_end():
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "grows to more than" in refusal("\n".join(lines)).message


def test_positions_of_values_and_keys():
    yaml = load_yaml("a: 1\nlist:\n  - {type: x, 'b.c': 2}\n", source="f.yaml")
    assert yaml.position("a") == (1, 4)
    assert yaml.position("list[0].type") == (3, 12)
    assert yaml.position("list[0].type", key=True) == (3, 6)
    assert yaml.position(("list", 0, "b.c")) == (3, 22)
    assert yaml.position('list[0]["b.c"]') == (3, 22)
    assert yaml.position("nothing.here") is None


def test_a_missing_file_names_itself_and_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        load_yaml_file("gone.yaml")
    assert "gone.yaml" in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert caught.value.code is Code.NOT_FOUND


def test_what_cannot_be_read_is_one_error(tmp_path):
    for path in (tmp_path, "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_yaml_file(path)


def test_a_file_is_called_by_its_name(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(ConfigurationError, match=r"x\.yaml:2:1: "):
        load_yaml_file(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ("a.0.b", ("a", "0", "b")),
        ('prices["gpt-4.1"].x', ("prices", "gpt-4.1", "x")),
        ('prices."gpt-4.1".x', ("prices", "gpt-4.1", "x")),
        ("prices.'gpt-4.1'", ("prices", "gpt-4.1")),
        ("[0]", (0,)),
    ],
)
def test_paths_are_read(text, path):
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a]", "a[0]b", '"a'])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(ValueError):
        parse_path(text)


@given(st.lists(st.one_of(st.text(), st.integers(0, 99)), min_size=1, max_size=5))
def test_a_written_path_reads_back(parts):
    assert parse_path(path_text(tuple(parts))) == tuple(parts)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cn", "Zl", "Zp")))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_is_yaml(value):
    assert data(json.dumps(value, ensure_ascii=False)) == value


def begins_with_its_place(text) -> bool:
    try:
        load_yaml(text, source="f.yaml")
    except ConfigurationError as error:
        return error.message.startswith("f.yaml:")
    return True


@given(st.text() | st.binary())
def test_no_text_does_anything_but_load_or_be_refused(text):
    assert begins_with_its_place(text)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"\n\t #%@,?~<01.", max_size=60))
def test_nor_does_text_made_of_syntax(text):
    assert begins_with_its_place(text)


def test_a_reference_without_quotes_is_told_apart():
    with pytest.raises(ConfigurationError) as caught:
        load_yaml("a: [{root: ${HOME}}]\n", source="x.yaml")
    assert "'${NAME}'" in caught.value.hint
