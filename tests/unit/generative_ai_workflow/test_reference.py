from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative_ai_workflow import ConditionalStep, TransformStep, Workflow
from generative_ai_workflow.exceptions import ConfigurationError, TemplateError
from generative_ai_workflow.reference import compile_value, evaluate, look_up, references
from generative_ai_workflow.template import ReferenceText

NAMES = {
    "chunk": {"text": "T", "source_uri": "file:///a.md", "index": 2},
    "run_id": "r1",
    "row": {"unit price": 9.5, "a.b": "dotted"},
    "all": {"x": ["a", "b", "c"], "n": [1, {"k": 2}], "one": "alone"},
}


def test_references_stand_inside_longer_text() -> None:
    assert ReferenceText("prefix ${chunk.source_uri} / ${run_id}").evaluate(NAMES) == "prefix file:///a.md / r1"


def test_a_lone_reference_keeps_its_type() -> None:
    assert ReferenceText("${all.x}").evaluate(NAMES) == ["a", "b", "c"]
    assert ReferenceText("${chunk.index}").evaluate(NAMES) == 2
    assert ReferenceText("no. ${chunk.index}").evaluate(NAMES) == "no. 2"


def test_paths_are_listed() -> None:
    expression = ReferenceText('${chunk.text} ${row["unit price"]} ${join(all.x, ", ")} ${chunk.text}')
    assert expression.paths == ("chunk.text", "row.unit price", "all.x")
    assert expression.references == (("chunk", "text"), ("row", "unit price"), ("all", "x"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${row.unit price}", 9.5),
        ('${row["a.b"]}', "dotted"),
        ("${row['a.b']}", "dotted"),
        ("${ chunk . text }", "T"),
        ('${join(all.x, ", ")}', "a, b, c"),
        ("${join(all.x)}", "a\n\nb\n\nc"),
        (r'${join(all.x, "\n")}', "a\nb\nc"),
        ('${join(all.x, "}")}', "a}b}c"),
        ('${join(all.n, ";")}', '1;{"k":2}'),
        ('${join(all.one, ";")}', "alone"),
        ('${join(all.x, ", ", max_items=2)}', "a, b, … [1 more]"),
        ('${join(all.x, "", max_chars=2)}', "ab… [1 more characters]"),
        ('${join(all.x, ", ", max_items=9, max_chars=99)}', "a, b, c"),
        ("$${chunk.text}", "${chunk.text}"),
        ("costs $5 and $", "costs $5 and $"),
        ("", ""),
    ],
)
def test_what_references_stand_for(text: str, value: object) -> None:
    assert ReferenceText(text).evaluate(NAMES) == value


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${}",
        "${a",
        "${a.}",
        "${.a}",
        "${a..b}",
        "${a[0]}",
        '${a["x"}',
        "${join(}",
        "${join()}",
        "${join(a, b)}",
        "${upper(a)}",
        "${join(a, ', ', max_lines=2)}",
        "${a b}}${",
        "${a()}",
        "${a:-b}",
    ],
)
def test_malformed_references_are_configuration_errors(text: str) -> None:
    with pytest.raises(ConfigurationError):
        ReferenceText(text)


def test_a_missing_part_names_the_path_and_what_is_there() -> None:
    with pytest.raises(TemplateError) as caught:
        ReferenceText("${chunk.tekst}").evaluate(NAMES)
    assert "chunk.tekst" in str(caught.value)
    assert "did you mean 'text'?" in caught.value.hint


@pytest.mark.parametrize("text", ["${chunk.text.upper}", "${run_id.__class__}", "${all.x.append}", "${chunk.keys}"])
def test_attributes_cannot_be_reached(text: str) -> None:
    with pytest.raises(TemplateError):
        ReferenceText(text).evaluate(NAMES)


@given(st.text(max_size=40))
def test_text_from_a_value_is_never_scanned_again(value: str) -> None:
    assert ReferenceText("<${v}>").evaluate({"v": value}) == f"<{value}>"
    assert ReferenceText("<${v}>").evaluate({"v": "${secret}", "secret": "WRONG"}) == "<${secret}>"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_clearly(text: str) -> None:
    try:
        expression = ReferenceText(text)
    except ConfigurationError:
        return
    if not expression.references:
        assert expression.evaluate({}) == text.replace("$${", "${")


def test_strings_inside_lists_and_mappings_are_live() -> None:
    value = compile_value({"a": ["${run_id}", 1], "b": "plain"})
    assert evaluate(value, NAMES) == {"a": ["r1", 1], "b": "plain"}
    assert references(value) == (("run_id",),)


def test_plain_values_stay_what_they_are() -> None:
    plain = {"a": [1, "x"], "b": None}
    assert compile_value(plain) is plain
    assert evaluate(plain, {}) is plain
    assert references(plain) == ()


def test_a_step_that_left_nothing_is_told_from_a_wrong_name() -> None:
    with pytest.raises(TemplateError, match=r"'steps\.a\.b' is not there: no step 'a' has left anything") as caught:
        look_up(("steps", "a", "b"), {"steps": {"c": 1}})
    assert '`"a" in steps`' in caught.value.hint
    assert "skipped" in caught.value.hint
    assert "known: c" in caught.value.hint
    with pytest.raises(TemplateError, match="nothing is called 'a' in 'row'"):
        look_up(("row", "a"), {"row": {}})


@pytest.mark.parametrize("given", [{}, {"steps": {"z": 1}}])
def test_how_a_step_ended_that_left_nothing_is_said_where_it_is_known(given: dict[str, object]) -> None:
    skipped = TransformStep("a", lambda names: 1)
    skipped.when = lambda names: False
    failed = TransformStep("b", lambda names: 1 / 0, is_critical=False)
    for name, told in (("a", "step 'a' was skipped"), ("b", "step 'b' has failed")):
        last = ConditionalStep("c", f"steps.{name} == 1", [TransformStep("d", lambda names: 1)])
        assert told in (Workflow([skipped, failed, last]).execute(given).error or "")
