from __future__ import annotations

import datetime as dt
import functools
import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.json_schema import check_schema
from chatmodels.structured.finding import MisfitError, find
from chatmodels.structured.wanted import accept_json
from fmf_core.errors import ConfigurationError
from fmf_core.redact import add_secret

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "mood": {"enum": ["good", "bad"]}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
containers = st.lists(values, max_size=4) | st.dictionaries(texts, values, max_size=4)
prose = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}[]`"), max_size=60)
written = {"compact": {"separators": (",", ":")}, "indented": {"indent": 2}, "unicode": {"ensure_ascii": False}}


def value_in(text, *, schema=None):
    return find(text, accept_json(schema)).value


def write(value, style):
    return json.dumps(value, **written[style])


@given(values, st.sampled_from(sorted(written)))
def test_any_value_comes_back_equal(value, style):
    assert value_in(write(value, style)) == value


@given(
    values, st.sampled_from(sorted(written)), st.sampled_from(["```json\n", "```\n", "``` json\n", "\n```JSON \r\n"])
)
def test_any_value_comes_out_of_a_fence(value, style, fence):
    assert value_in(f"{fence}{write(value, style)}\n```\n") == value


@given(containers, st.sampled_from(sorted(written)), prose, prose)
def test_any_object_or_array_comes_out_of_prose(value, style, before, after):
    assert value_in(f"{before} {write(value, style)} {after}") == value


@given(containers, prose, prose)
def test_any_object_or_array_comes_out_of_a_fence_amid_prose(value, before, after):
    assert value_in(f"{before}\n```json\n{json.dumps(value)}\n```\n{after}") == value


@given(
    containers,
    prose.filter(lambda text: '"' not in text),
    st.sampled_from(
        ["Alas :[ The end", "Well :-{ Good", 'the "["', "the '{'", "the `[`", "within [0, 1)", "in [-1.5, ∞)"]
    ),
)
def test_a_bracket_that_plainly_opens_nothing_hides_no_object_or_array(value, words, stray):
    assert value_in(f"{stray} {words}: {json.dumps(value)}") == value


def broken_off(text, data):
    inside = data.draw(st.integers(1, len(text) - 1))
    return text[:inside]


@given(containers, containers, st.sampled_from(sorted(written)), prose, st.data())
def test_nothing_is_taken_where_a_value_is_broken_off(value, earlier, style, words, data):
    cut = broken_off(write([value, {"mood": value}], style), data)
    for text in (
        cut,
        f"{words} {cut}",
        f"{json.dumps(earlier)} {words} {cut}",
        f"{{draft: {json.dumps(value)}, {words}",
    ):
        with pytest.raises(MisfitError):
            value_in(text)


@given(containers, containers, prose)
def test_of_several_objects_or_arrays_the_last_is_taken(value, earlier, words):
    wrapped, draft = {"answer": value, "draft": False}, {"answer": earlier, "draft": True}
    before, after = json.dumps(draft), json.dumps(wrapped)
    assert value_in(f"{before} {words} {after}") == wrapped
    assert value_in(f"```json\n{before}\n```\n{words}\n```json\n{after}\n```") == wrapped
    for thoughts in (f"<think>{before}</think>", f"<think>\n{words}\n</think>\n", f"{before} {words}\n</think>\n\n"):
        assert value_in(f"{thoughts}{after}") == wrapped
        assert value_in(f"{thoughts}```json\n{after}\n```") == wrapped


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('It is {"a": "b"} (see [1]).', {"a": "b"}),
        ("First [1, 2], then [3].", [3]),
        ('```json\n{"a": 1}\n```\nBetter:\n```json\n{"a": "```py\\nx\\n```"}\n```', {"a": "```py\nx\n```"}),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2,}\n```\n```py\nprint({"a"})\n```', {"a": 2}),
        ("<think>one [ or {two</think>\n5", 5),
        ('<think>hm</think>{"a": 1,}', {"a": 1}),
        ('Well. <thinking>{"a": 1}</thinking> {"a": 2}', {"a": 2}),
        ('A guess: {"a": 1} </think> So: {"a": 2}', {"a": 2}),
        ('Here: {"a": "<think>b</think>"}', {"a": "<think>b</think>"}),
        ('{"a": "<think>"}', {"a": "<think>"}),
        ('```json\n{"a": "</think>"}\n```', {"a": "</think>"}),
    ],
)
def test_drafts_thoughts_and_footnotes_are_no_answer(text, value):
    assert value_in(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '["draft", {"mood": "first idea"}, {"mood": "the real o',
        '[1, {"mood": "wrong"}, ',
        '{\'draft\': {"mood": "wrong"}, \'final\': {"mood": "ri',
        '{draft: {"mood": "wrong"}, final: {"mood": "ri',
        '{ // draft\n "draft": {"mood":"wrong"}, "final": {"mood":"ri',
        'answers :[ {"mood": "wrong"}, {"mood": "ri',
        '<think>{"mood": "wrong"}',
        '<think>```json\n{"mood": "wrong"}\n```',
        'Well. <think>```json\n{"mood": "wrong"}\n```',
        'Well. <think> {"mood": "wrong"} and so on',
        '```json\n{"mood": "wrong"}\n```\nBetter:\n```json\n{"mood": "ri',
        '```json\n{"mood": "wrong"}\n```\nBetter:\n```json\n{"mood": "ri\n```',
        '```json\n{"mood": "wrong"}\n```\nBetter: {"mood": "ri',
        '{"a": 1} ' * 2000,
    ],
    ids=lambda text: text[:40],
)
def test_nothing_is_taken_of_what_may_be_a_draft(text):
    with pytest.raises(MisfitError):
        value_in(text)


@pytest.mark.parametrize("digits", ["1" + "0" * 400, "-1" + "0" * 400, "1" * 5000])
def test_a_whole_number_that_no_float_can_hold_is_refused(digits):
    with pytest.raises(MisfitError, match="too large"):
        value_in(f'{{"price": {digits}}}')
    assert value_in("1" + "0" * 308) == 10**308


def test_an_answer_that_is_nested_too_deeply_is_refused():
    for depth, fine in ((200, True), (201, False), (2000, False)):
        deep = "[" * depth + "1" + "]" * depth
        for text in (deep, f"Here it is: {deep}", f"```json\n{deep}\n```"):
            if fine:
                assert value_in(text) == json.loads(deep)
                continue
            with pytest.raises(MisfitError, match="nested too deeply"):
                value_in(text)


@pytest.mark.parametrize("answer", ["n" * 90 + "{secret}", '["' + "n" * 85 + '{secret}"]'])
def test_a_secret_that_the_cut_runs_through_is_not_shown(answer):
    add_secret("ProdDbPassw0rd-XYZZY-9876543210-qwertyuiop")
    text = answer.replace("{secret}", "ProdDbPassw0rd-XYZZY-9876543210-qwertyuiop")
    with pytest.raises(MisfitError) as caught:
        value_in(text, schema={"type": "object"})
    assert "nnn" in str(caught.value)
    assert "ProdDb" not in str(caught.value)


@given(st.text(st.sampled_from('{}[]",:\\ab1 \n`'), max_size=60))
def test_garbage_gives_a_value_or_a_misfit(text):
    with suppress(MisfitError):
        value_in(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure! Here it is: {"a": 1}. Anything else?', {"a": 1}),
        ("The list [1, 2] it is", [1, 2]),
        ('As noted [1], the answer is {"a": "b"}', {"a": "b"}),
        ('He said "[" and then {"a": 1}', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('\ufeff{"a": 1}\u00a0', {"a": 1}),
        ("```42```", 42),
        ('```json {"a": 1}```', {"a": 1}),
        ('{"a": "```"}', {"a": "```"}),
        ('```json\n{"code": "```py\\nx\\n```"}\n```', {"code": "```py\nx\n```"}),
        ('[note] the result: {"a": [1, {"b": 2}]}', {"a": [1, {"b": 2}]}),
    ],
)
def test_repairs(text, value):
    assert value_in(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "I cannot say",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '"\\ud800"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "{" * 2_000_000,
        "{[" * 1_000_000,
        '{"' + '\\"' * 1_000_000,
        "[1," * 99 + "1," * 1_000_000,
        "```" + " " * 2_000_000,
        "```\n{\n```\n" * 100_000,
        "```\n[" * 200_000,
        "<think>" * 200_000,
        " :[ A" * 200_000,
    ],
    ids=lambda text: f"{text[:12]}({len(text)})",
)
def test_what_is_no_value_is_refused_soon(text):
    started = time.monotonic()
    with pytest.raises(MisfitError):
        value_in(text)
    assert time.monotonic() - started < 5  # some 0.1 s; the machine may be busy


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}, oops',
        '{"a": {"b": 1}, "c": ',
        "{'a': {\"b\": 1}}",
        '[{"a": 1}, {"b": 2}, oops',
        '[{"a": 1}, {"b": 2',
        '{"answers": [1, 2, 3',
    ],
)
def test_a_piece_of_something_broken_is_no_answer(text):
    with pytest.raises(MisfitError):
        value_in(text)


def test_the_value_that_fits_is_found_among_several():
    text = 'For example {"name": 3} would be wrong; it is {"name": "Ann"}.'
    assert value_in(text, schema=PERSON) == {"name": "Ann"}


def test_objects_and_arrays_can_be_demanded():
    assert value_in('[1] says {"a": 1}', schema={"type": "object"}) == {"a": 1}
    assert value_in('{"a": 1} and [1]', schema={"type": "array"}) == [1]
    with pytest.raises(MisfitError, match="object"):
        value_in("[1]", schema={"type": "object"})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"name": 3}, ["$.name", "3", "string"]),
        ({"mood": "good"}, ["'name' is missing"]),
        ({"name": "Ann", "mood": "odd"}, ["$.mood", '"odd"', "enum"]),
        ({"name": "Ann", "age": 1.5}, ["$.age", "1.5", "integer"]),
        ({"name": "Ann", "more": 1}, ["more"]),
        ({"name": ["x" * 5000]}, ["$.name", "…"]),
    ],
)
def test_the_whole_schema_is_checked_and_the_fault_is_named_shortly(answer, said):
    with pytest.raises(MisfitError) as caught:
        value_in(json.dumps(answer), schema=PERSON)
    assert all(part in str(caught.value) for part in said)
    assert len(str(caught.value)) < 500


def test_formats_are_checked():
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    assert value_in('{"day": "2026-11-21"}', schema=schema)
    with pytest.raises(MisfitError, match="date"):
        value_in('{"day": "tomorrow"}', schema=schema)


def test_references_inside_the_schema_work():
    schema = {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}}
    assert value_in("[1, 2]", schema=schema) == [1, 2]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "lost"}, "lost"),
        ({"items": {"$ref": "http://127.0.0.1:9/schema.json"}}, "127.0.0.1"),
        ({"$ref": "file:///etc/hostname"}, "file:///etc/hostname"),
        ({"properties": {"a": {"$ref": "#/$defs/lost"}}}, "#/$defs/lost"),
        ({"$ref": "#nowhere"}, "#nowhere"),
        ({"$ref": "http://["}, "http://["),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "#/properties/a"),
        ({"$ref": "#"}, "'#'"),
        ({"$dynamicRef": "#"}, "'#'"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "#/$defs/"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a"}, "#/definitions/a"),
        ({"title": "x", "$ref": "#/title"}, "#/title"),
        ({"x": {"type": "lost"}, "$ref": "#/x"}, "lost"),
        ({"$schema": ["odd"]}, "odd"),
        ({"const": dt.date(2026, 1, 1)}, "no JSON"),
        ({"properties": {"a": {"pattern": "(a"}}}, "(a"),
        ({"items": {"patternProperties": {"[": True}}}, "["),
        ({"patternProperties": {"^a": True}, "unevaluatedProperties": False}, "unevaluatedProperties"),
        (functools.reduce(lambda inner, _: {"items": inner}, range(600), {}), "deep"),
    ],
)
def test_a_schema_that_can_never_be_used_is_refused(schema, said):
    with pytest.raises(ConfigurationError) as caught:
        check_schema(schema)
    assert said in caught.value.message
    assert caught.value.hint
    with pytest.raises(ConfigurationError):
        value_in("[1]", schema=schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        PERSON,
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"properties": {"parts": {"items": {"$ref": "#/$defs/tree"}}}}}},
        {"properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"const": {"$ref": "#/lost", "pattern": "("}}}},
        {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}},
        {"$id": "http://house/a", "items": {"$ref": "b"}, "$defs": {"b": {"$id": "b", "type": "integer"}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "dependencies": {"a": ["b"]}, "pattern": "^\\p{L}+$"},
    ],
)
def test_a_schema_that_can_be_used_is_accepted(schema):
    check_schema(schema)


SLOW = "^(a|aa)+$"


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"pattern": SLOW}, "a" * 100 + "!"),
        ({"patternProperties": {SLOW: True}}, {"a" * 100 + "!": 1}),
        ({"additionalProperties": False, "patternProperties": {SLOW: True}}, {"a" * 100 + "!": 1}),
        ({"items": {"pattern": SLOW}}, ["a" * 100 + "!"] * 100),
    ],
)
def test_a_pattern_that_takes_too_long_is_a_misfit(schema, answer):
    with pytest.raises(MisfitError, match="longer than 1 s"):
        value_in(f"{json.dumps(answer)} " * (50 if isinstance(answer, dict) else 1), schema=schema)


def test_patterns_are_checked():
    schema = {
        "properties": {"id": {"pattern": "^(a+)+$"}},
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert value_in('{"id": "aa", "x-b": 1}', schema=schema) == {"id": "aa", "x-b": 1}
    for wrong, said in [({"id": "a" * 40 + "!"}, "pattern"), ({"x-b": "1"}, "integer"), ({"y": 1}, "'y'")]:
        with pytest.raises(MisfitError, match=said):
            value_in(json.dumps(wrong), schema=schema)


def test_a_value_nested_too_deeply_for_its_schema_is_a_misfit():
    with pytest.raises(MisfitError, match="nested too deeply"):
        value_in("[" * 900 + "]" * 900, schema={"items": {"$ref": "#"}})


@given(containers, st.sampled_from(["{}", "```json\n{}\n```"]), st.data())
def test_a_comma_before_a_closing_bracket_changes_nothing(value, around, data):
    written = json.dumps(value, indent=1)
    closing = [place for place, _ in enumerate(written) if written[place] in "]}" and written[place - 1] not in "[{"]
    closing = [place for place in closing if written[:place].rstrip() != "" and is_outside_of_strings(written, place)]
    if not closing:
        return
    place = data.draw(st.sampled_from(closing))
    found = find(around.replace("{}", f"{written[:place].rstrip()},{written[place:]}"), accept_json(None))
    assert (found.value, found.mended) == (value, True)


def is_outside_of_strings(text, place):
    within, escaped = False, False
    for character in text[:place]:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = within
        elif character == '"':
            within = not within
    return not within


@pytest.mark.parametrize("text", ["[,]", "[1,,]", "{,}", '{"a":,}', '{"a",}', "[1,2", '{"a": 1,', "[1, 2,"])
def test_a_hole_or_an_open_end_is_no_trailing_comma(text):
    with pytest.raises(MisfitError):
        value_in(text)


@pytest.mark.parametrize("text", ['{"a": ",]"}', '["x, }", "[,]"]', '{"a": "\\",}"}'])
def test_commas_inside_strings_stay(text):
    found = find(text, accept_json(None))
    assert (found.value, found.mended) == (json.loads(text), False)


@pytest.mark.parametrize(
    ("text", "place", "mended"),
    [
        ('{"a": 1}', "whole", False),
        ('{"a": [1, 2, ], }', "whole", True),
        ('```json\n{"a": 1}\n```', "fence", False),
        ('```json\n{"a": 1,}\n```', "fence", True),
        ('It is {"a": 1}.', "prose", False),
    ],
)
def test_where_it_was_found_is_told(text, place, mended):
    found = find(text, accept_json(None))
    assert (found.place, found.mended) == (place, mended)
