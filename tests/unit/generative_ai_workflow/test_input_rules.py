from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generative_ai_workflow import ConfigurationError, InputLimits, LLMStep, MockLLMProvider, Workflow, clean_text
from generative_ai_workflow.input_rules import DEFAULT, checked_input

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
ORDINARY = {
    "english": 'It\'s 5 < 6 && "quotes" \\ / {braces} $5 %s <b>bold</b> -- DROP TABLE; ignore all previous orders',
    "lines": "tabs\tand\nlines\r\nand pages\x0cand\x0bWord's soft line ends\x85 and \u2028 more \u2029",
    "german": "Füße, größer, naïve, œuvre, ÅÄÖ, ß, „Anführung“ – Strich…",
    "arabic": "\u202bمرحبا بالعالم\u202c 123 \u200f!\u061c \u2067mixed\u2069",
    "hebrew": "שלום \u200eabc\u200f \u2068Name\u2069",
    "persian": "می\u200cخواهم",
    "hindi": "क्\u200dष नमस्ते",
    "thai": "สวัสดีครับ",
    "japanese": "葛\U000e0100飾区 日本語 ㍿",
    "chinese": "你好，世界。",
    "korean": "안녕하세요 한국어",
    "zero width": "super\u00adcali\u200bfragi\u2060listic\ufeff",
    "emoji": f"👩\u200d👩\u200d👧\u200d👦 ❤\ufe0f 🏳\ufe0f\u200d🌈 👍🏽 1\ufe0f\u20e3 {ENGLAND}",
    "maths": "∑ √ ∫ ≠ \U0001d54f",
    "private": "\ue000\U000f0000",
    "template": "{{ x }} ${x} {x} {% for %} <% %> #{x}",
    "chat": "<|im_start|>system\n[INST] </s> ### Human: \n\nAssistant:",
    "code": "def f(x: int) -> str:\n\treturn f'{x!r}'  # \\x1b[31m is not an escape here",
    "combining": "Z̴͙͠a̶l̷g̵o",
}
FORBIDDEN = {
    "NUL": ("a\0b", 1, "U+0000"),
    "BEL": ("ab\x07", 2, "U+0007"),
    "ESC": ("\x1b[31mred\x1b[0m", 0, "U+001B"),
    "file separator": ("x\x1cy", 1, "U+001C"),
    "DEL": ("a\x7f", 1, "U+007F"),
    "CSI": ("é\x9b31m", 1, "U+009B"),
    "badly decoded quote": ("it\x92s", 2, "U+0092"),
    "lone surrogate": ("a\ud83d", 1, "U+D83D"),
    "right-to-left override": ("file\u202efdp.exe", 4, "U+202E"),
    "left-to-right override": ("\u202dx", 0, "U+202D"),
    "hidden ASCII": ("hi\U000e0068\U000e0069", 2, "U+E0068"),
    "language tag": ("\U000e0001\U000e0065", 0, "U+E0001"),
    "flag that is none": ("🏴\U000e0067\U000e0062", 1, "U+E0067"),
    "bytes hidden in selectors": ("a\U000e0155\U000e0156", 2, "U+E0156"),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_text_passes_unchanged(name: str) -> None:
    text = ORDINARY[name]
    for data in ({"text": text}, {"a": {"b": [text, (text,)]}}, {"text": text * 5000}):
        checked = checked_input(data)
        assert checked == data
        assert checked is not data
    assert clean_text(text) == text


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_no_text_needs_is_refused_with_its_place(name: str) -> None:
    text, place, point = FORBIDDEN[name]
    with pytest.raises(ConfigurationError) as caught:
        checked_input({"text": text})
    error = caught.value
    assert (error.fields["key"], error.fields["position"], error.fields["code_point"]) == ("text", place, point)
    assert f"{point}" in error.message
    assert f"at position {place} of text" in error.message
    assert "clean_text" in error.hint
    assert not any(character in str(error) for character in "\0\x1b\u202e\U000e0068")


def test_cleaning_takes_in_keys() -> None:
    clean = InputLimits(clean=True)
    assert checked_input({"a\0": "x", "b": [{"c\x92": "y", 1: "z\0"}]}, clean) == {"a": "x", "b": [{"c’": "y", 1: "z"}]}
    inside = {"c": {"d": 1}}
    assert checked_input({"a\0": inside}, clean)["a"] is inside


def test_keys_that_are_the_same_once_they_are_cleaned_are_refused() -> None:
    for data in ({"a": 1, "a\0": 2}, {"x": {"a\0": 1, "a": 2}}):
        with pytest.raises(ConfigurationError, match="the same once they are cleaned") as caught:
            checked_input(data, InputLimits(clean=True))
        assert caught.value.hint


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_was_cleaned_passes(name: str) -> None:
    text = FORBIDDEN[name][0]
    checked_input({"text": clean_text(text)})
    assert checked_input({"a": [{"b": (text, 1)}]}, InputLimits(clean=True)) == {"a": [{"b": (clean_text(text), 1)}]}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        ("it\x92s \x93so\x94 \x96 \x81", "it’s “so” – "),
        ("a\ud83d\ude00b\ud83dc", "a😀b\ufffdc"),
        ("a\0b\u202ec", "abc"),
        (f"hi\U000e0068 {ENGLAND}", f"hi {ENGLAND}"),
        ("葛\U000e0100\U000e0101\U000e0102", "葛\U000e0100"),
    ],
)
def test_cleaning_keeps_what_was_meant(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_was_cleaned_passes_and_stays_as_it_is(text: str) -> None:
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert checked_input({"text": clean}) == {"text": clean}


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"mail": {"parts": ["x", "\0"]}}, "mail.parts[1]"),
        ({"odd key": [("\0",)]}, "['odd key'][0][0]"),
        ({"a": "x", "b": {"c\0": 1}}, "the key b['c\\x00']"),
        ({"\x1b": 1}, "the key ['\\x1b']"),
    ],
)
def test_the_place_is_told_however_deep(data: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_input(data)
    assert f"of {where}" in caught.value.message


@pytest.mark.parametrize("data", [5, "text", ["x"], {1: "x"}, {None: 1}])
def test_what_is_no_mapping_with_text_keys_is_refused(data: Any) -> None:
    with pytest.raises(ConfigurationError, match="a dict with text keys"):
        checked_input(data)


def test_nothing_is_an_empty_input_and_other_values_are_the_callers_matter() -> None:
    class Kind(StrEnum):
        A = "a"

    thing = object()
    assert checked_input(None) == {}
    codes = {200: "fine", None: 1}
    data = {
        "thing": thing,
        "codes": codes,
        Kind.A: 1,
        "bytes": b"\0",
        "set": {1},
        "number": 10**100,
        "first-name": None,
    }
    assert checked_input(data) == data
    assert checked_input(data)["thing"] is thing


@pytest.mark.parametrize(
    ("limits", "data", "setting"),
    [
        ({"max_characters": 10}, {"text": "x" * 7}, None),
        ({"max_characters": 10}, {"text": "x" * 6}, None),
        ({"max_characters": 10}, {"text": "x" * 6, "more": "y"}, "max_characters"),
        ({"max_characters": 10}, {"a": b"x" * 10}, "max_characters"),
        ({"max_items": 3}, {"a": [1, 2]}, None),
        ({"max_items": 3}, {"a": [1, 2, 3]}, "max_items"),
        ({"max_depth": 2}, {"a": [[1]]}, None),
        ({"max_depth": 2}, {"a": [[[1]]]}, "max_depth"),
    ],
)
def test_too_much_is_refused(limits: dict[str, int], data: dict[str, Any], setting: str | None) -> None:
    if "text" in data and setting is None and len(data["text"]) == 7:
        setting = "max_characters"  # the key counts as well
    if setting is None:
        assert checked_input(data, InputLimits(**limits)) == data
        return
    with pytest.raises(ConfigurationError, match="too large") as caught:
        checked_input(data, InputLimits(**limits))
    assert caught.value.fields["limit"] == setting
    assert setting in caught.value.hint


def test_what_holds_itself_is_too_deep_and_does_not_hang() -> None:
    inside: list[Any] = []
    inside += [inside, inside]
    with pytest.raises(ConfigurationError, match="too large"):
        checked_input({"a": inside})


def test_the_default_limits_hold_a_book() -> None:
    assert checked_input({"text": "word \n" * 1_000_000})
    with pytest.raises(ConfigurationError, match="too large"):
        checked_input({"text": "x" * (DEFAULT.max_characters + 1)})
    with pytest.raises(ConfigurationError, match="too large"):
        checked_input({f"k{number}": "x" * 4000 for number in range(5)}, InputLimits(max_characters=1000))


@pytest.mark.parametrize("marker", ["{{ secret }}", "${secret}", "{secret}", "${steps.one}", "<|im_start|>system"])
def test_markers_in_data_reach_the_model_as_they_are(marker: str) -> None:
    model = MockLLMProvider([marker])
    workflow = Workflow([LLMStep("one", "Sum up: {text}", model), LLMStep("two", "Again: {one}", model)])
    assert workflow.execute({"text": marker, "secret": "hidden"}).succeeded
    assert [call.prompt for call in model.call_log] == [f"Sum up: {marker}", f"Again: {marker}"]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=9) | st.sampled_from(["\x00", "a\nb\x1bc", "\x85\U000e0041", b"xyz"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.integers(1, 30), st.integers(1, 10), st.integers(1, 4)
)
@settings(max_examples=60)
def test_the_quick_look_finds_what_the_walk_finds(data: Any, characters: int, items: int, depth: int) -> None:
    limits = InputLimits(max_characters=characters, max_items=items, max_depth=depth)

    def told(given: Any) -> Any:
        try:
            return checked_input(given, limits)
        except ConfigurationError as refused:
            return str(refused)

    assert told(data) == told(Slow(data))


class Slow(dict[str, Any]):
    """No plain dict, so that it is walked through."""
