from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative_ai_workflow.exceptions import ConfigurationError, TemplateError
from generative_ai_workflow.template import Syntax, Template

names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
wild = st.text(st.sampled_from(list("{}$ab_. \n\"':\\x")) | st.characters(), max_size=60)


def test_both_spellings_are_filled() -> None:
    assert (
        Template("Hi {name}, {{ greeting }} {{name}}").render({"name": "Ann", "greeting": "hello"})
        == "Hi Ann, hello Ann"
    )


def test_double_syntax_leaves_single_braces_alone() -> None:
    assert Template("{name} {{ name }}", "double").render({"name": "x"}) == "{name} x"


def test_an_unknown_syntax_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="triple"):
        Template("x", "triple")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": {"c": [1, 2]}}',
        "{}",
        "{ }",
        "{0}",
        "{x.__class__}",
        "{x[0]}",
        "{x!r}",
        "{{ x.y }}",
        "{% if x %}",
        "function() { return 1; }",
        "${a.b}",
        "{{}}",
        "}}{{",
    ],
)
def test_other_braces_survive(text: str) -> None:
    assert Template(text).render({"x": "never", "a": "never"}) == text
    assert Template(text).names == ()


def test_a_json_object_around_a_place_survives() -> None:
    assert Template('{"text": "{text}", "n": {{{n}}}}').render({"text": "hi", "n": 3}) == '{"text": "hi", "n": {3}}'


def test_a_missing_name_names_itself_and_the_known_ones() -> None:
    with pytest.raises(TemplateError) as caught:
        Template("{txt} {other}").render({"text": "x", "lang": "de"})
    assert "'txt'" in str(caught.value)
    assert "'other'" in str(caught.value)
    assert "did you mean 'text'?" in caught.value.hint
    assert "lang" in caught.value.hint


def test_names_are_listed_once_in_order() -> None:
    assert Template("{b} {a} {{ b }} {c}").names == ("b", "a", "c")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (["a", "b"], "a\n\nb"),
        (("a", "b"), "a\n\nb"),
        ([], ""),
        (3, "3"),
        (2.5, "2.5"),
        (True, "true"),
        (None, "null"),
        ({"ä": [1, None]}, '{"ä":[1,null]}'),
        ([1, "a"], '[1,"a"]'),
        (2**80, str(2**80)),
        ({"s": {1}}, '{"s":[1]}'),
    ],
)
def test_values_that_are_no_text(value: object, shown: str) -> None:
    assert Template("{v}").render({"v": value}) == shown


@given(before=wild, value=wild, after=wild)
def test_what_is_filled_in_is_never_scanned_again(before: str, value: str, after: str) -> None:
    text = before.replace("{", "").replace("}", "") + "{{ slot }}" + after.replace("{", "").replace("}", "")
    expected = text.replace("{{ slot }}", value)
    assert Template(text).render({"slot": value, "other": "WRONG", "x": "WRONG"}) == expected


@given(value=st.sampled_from(["{{ other }}", "{other}", "${other}", "{{slot}}", "$${slot}", "{slot}{{ slot }}"]))
def test_templates_in_values_pass_literally(value: str) -> None:
    for syntax in ("both", "double"):
        assert Template("<{{ slot }}>", syntax).render({"slot": value, "other": "WRONG"}) == f"<{value}>"


@given(text=wild)
def test_text_without_places_is_unchanged(text: str) -> None:
    template = Template(text)
    if not template.names:
        assert template.render({}) == text


@given(parts=st.lists(st.tuples(wild, names), max_size=6), end=wild)
def test_filling_with_the_places_themselves_changes_nothing(parts: list[tuple[str, str]], end: str) -> None:
    text = "".join(f"{literal}{{{{{name}}}}}" for literal, name in parts) + end
    template = Template(text, "double")
    rendered = template.render({name: "{{" + name + "}}" for name in template.names})
    assert rendered.replace(" ", "").replace("\n", "").replace("\t", "").replace("\r", "") == text.replace(
        " ", ""
    ).replace("\n", "").replace("\t", "").replace("\r", "")


def test_a_long_run_of_braces_is_read_in_no_time() -> None:
    text = "{" * 50_000 + " " * 50_000 + "{{ " * 20_000
    assert Template(text).render({}) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{{ user.name }}", "write {{ name }}, and inputs: {name: '${user.name}'}"),
        ("{{input.letters}}", "write {{ letters }}, and inputs: {letters: '${input.letters}'}"),
        ("{{ a.b.c }}", "inputs: {c: '${a.b.c}'}"),
        ("{{ user.name }}", "to say it as it stands: {{ example }}, and inputs: {example: '{{ user.name }}'}"),
        ("{{ x['a'] }}", "{example: '{{ x[''a''] }}'}"),
        ('{{ row["unit price"] }}', "inputs: {row: '${row[\"unit price\"]}'}"),
        ("{{ x|upper }}", "no filters and no indexes"),
        ("{{ x | default('a.b') }}", "no filters and no indexes"),
        ("{{ items[0] }}", "no filters and no indexes"),
        ("{{ items.0 }}", "no filters and no indexes"),
        ("{{ x.upper() }}", "no filters and no indexes"),
    ],
)
@pytest.mark.parametrize("syntax", ["both", "double"])
def test_what_looks_like_a_place_stays_and_is_suspect(text: str, hint: str, syntax: Syntax) -> None:
    template = Template(f"Dear {text}, {{{{ x }}}} {text}", syntax)
    assert template.render({"x": "Ann"}) == f"Dear {text}, Ann {text}"
    [suspect] = template.suspects
    assert suspect.text == text
    assert hint in suspect.hint
    assert text in suspect.complaint


@pytest.mark.parametrize(
    "text",
    [
        '{{"a": 1}}',
        '{"a": {"b": [1]}}',
        "{x.__class__}",
        "{{ x.__class__ }}",
        "{{ x }}",
        "{{}}",
        "{{ 1.5 }}",
        "{{ .x }}",
        "${a.b}",
        "{{ x.y }",
        "{ { x.y } }",
        "{% if x.y %}",
        "{{ x y.z }}",
        "{{ a: b.c }}",
        "{{Hello. World}}",
        "{{Hello.World and more}}",
        "{{Infobox|name=x}}",
        "{{Infobox|}}",
        "{{ a . b.c }}",
        "{{ see [1] }}",
        "{{ e.g. this }}",
    ],
)
def test_other_braces_are_not_suspect(text: str) -> None:
    assert Template(text).suspects == ()


@given(text=wild)
def test_every_suspect_stands_in_the_text_and_is_no_place(text: str) -> None:
    template = Template(text, "double")
    for suspect in template.suspects:
        assert suspect.text in text
        assert Template(suspect.text, "double").names == ()


def test_long_texts_of_braces_are_looked_through_quickly() -> None:
    for text in (
        "{{" * 100_000,
        "{{ a" * 50_000,
        "{{ a." * 50_000,
        "{{" + "a" * 200_000 + ".",
        "{{ a" + " " * 200_000 + ".b }}",
        "{{ a" + ".b" * 100_000,
        "{{ a" + " | b" * 100_000,
        ("{{ a" + "[b]" * 40 + "!}}") * 1_000,
    ):
        assert Template(text, "double").suspects == ()
