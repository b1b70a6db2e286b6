from __future__ import annotations

import itertools
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import json_keywords
from chatmodels.json_keywords import Limit, SlowCheckError, limited
from chatmodels.json_schema import check_schema, fault_in
from fmf_core.errors import ConfigurationError

KINDS = ("add", "mul", "neg", "sub")
TREE = {
    "$ref": "#/$defs/e",
    "$defs": {
        "e": {
            "anyOf": [
                {"type": "number"},
                *(
                    {
                        "type": "object",
                        "properties": {"a": {"$ref": "#/$defs/e"}, "op": {"const": kind}},
                        "required": ["op", "a"],
                        "additionalProperties": False,
                    }
                    for kind in KINDS
                ),
            ]
        }
    },
}


def tree(levels: int, end: object = 1) -> Any:
    value = end
    for _ in range(levels):
        value = {"op": "sub", "a": value}
    return value


@pytest.mark.parametrize("choice", ["anyOf", "oneOf"])
def test_a_recursive_schema_takes_steps_in_proportion_to_the_value(choice: str) -> None:
    schema = json.loads(json.dumps(TREE).replace("anyOf", choice))
    taken = []
    for levels in (10, 20, 40):
        limit = Limit()
        before = limit.steps
        with limited(limit):
            assert fault_in(tree(levels), schema) is None
        taken.append(before - limit.steps)
    assert taken[2] < 5 * taken[0]
    with limited(Limit(steps=200_000)):
        assert "does not satisfy" in (fault_in(tree(12, "wrong"), schema) or "")


def test_a_check_that_takes_too_many_steps_ends() -> None:
    double = {"properties": {"a": {"$ref": "#/$defs/n"}}}
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"allOf": [double, double]}}}
    with limited(Limit(steps=10_000)), pytest.raises(SlowCheckError, match="too many steps"):
        fault_in(tree(30), schema)


def test_searches_for_patterns_are_steps() -> None:
    schema = {"patternProperties": {f"^k{number}x*$": {} for number in range(600)}, "additionalProperties": False}
    value = {f"k{number}": 1 for number in range(50)}
    with limited(Limit(seconds=60)):
        assert fault_in(value, schema) is None
    with limited(Limit(seconds=60, steps=10_000)), pytest.raises(SlowCheckError, match="too many steps"):
        fault_in(value, schema)


def test_many_short_searches_share_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count()
    monkeypatch.setattr(json_keywords, "perf_counter", lambda: next(now) * 0.0004)
    schema = {"items": {"pattern": "^a"}}
    with limited(Limit(seconds=0.02)), pytest.raises(SlowCheckError, match="patterns, such as"):
        fault_in(["a"] * 100, schema)
    with limited(Limit(seconds=0.05)):
        assert fault_in(["a"] * 100, schema) is None


def test_a_schema_that_names_its_draft_again_has_its_patterns_searched_within_the_limit() -> None:
    draft = "https://json-schema.org/draft/2020-12/schema"
    # The library's own search takes this for no pattern.
    schema = {"$schema": draft, "properties": {"a": {"$ref": "#"}, "b": {"$schema": draft, "pattern": "^[^]$"}}}
    assert fault_in({"a": {"a": {"b": "\n"}}}, schema) is None
    assert "pattern" in (fault_in({"a": {"b": ""}}, schema) or "")


def test_one_limit_holds_for_all_values_of_an_answer() -> None:
    schema = {"type": "integer", "minimum": 0}
    with limited(Limit(steps=10)):
        assert [fault_in(1, schema) for _ in range(5)] == [None] * 5
        with pytest.raises(SlowCheckError):
            fault_in(1, schema)
    assert [fault_in(1, schema) for _ in range(20)] == [None] * 20


@pytest.mark.parametrize(
    ("schema", "fits", "fails"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, [None, "x"], [1, {}]),
        ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, [2, 3, 4], [1, 6]),
        (
            {"enum": [1, "a", None, [1, {"b": 2}], True]},
            [1, 1.0, "a", None, [1.0, {"b": 2}], True],
            [0, False, "b", []],
        ),
        ({"enum": [0]}, [0, 0.0], [False, "0"]),
        (
            {"uniqueItems": True},
            [[], [1, True, "1"], [{"a": 1}, {"a": 2}], [[1], [2]]],
            [[1, 1.0], [{"a": 1}, {"a": 1}]],
        ),
        ({"uniqueItems": False}, [[1, 1]], []),
        ({"multipleOf": 3}, [3, 9.0, 10**30 * 3], [1, 2.5]),
        ({"multipleOf": 1e-300}, [1e300], []),
        ({"multipleOf": 0.01}, [10**400], [0.001]),
        ({"multipleOf": 2.5}, [5, 7.5], [4]),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "divisibleBy": 0.01}, [19.99, 10**400], [0.001]),
    ],
)
def test_values_that_fit_and_that_do_not(schema: dict[str, Any], fits: list[Any], fails: list[Any]) -> None:
    assert [value for value in fits if fault_in(value, schema) is not None] == []
    assert [value for value in fails if fault_in(value, schema) is None] == []


def test_every_price_is_a_multiple_of_a_cent() -> None:
    schema = {"type": "number", "multipleOf": 0.01}
    assert [cents for cents in range(1, 3000) if fault_in(float(f"{cents / 100:.2f}"), schema) is not None] == []


def test_a_thousand_objects_are_unique_or_not() -> None:
    schema = {"type": "array", "uniqueItems": True}
    items = [{"i": number} for number in range(5000)]
    with limited(Limit(steps=100)):
        assert fault_in(items, schema) is None
        assert "uniqueItems" in (fault_in([*items, {"i": 7}], schema) or "")


def test_a_dynamic_reference_leads_where_it_does() -> None:
    schema = {
        "$id": "https://example.org/strict",
        "$dynamicAnchor": "node",
        "$ref": "tree",
        "unevaluatedProperties": False,
        "$defs": {
            "tree": {
                "$id": "tree",
                "$dynamicAnchor": "node",
                "properties": {"next": {"anyOf": [{"type": "null"}, {"$dynamicRef": "#node"}]}},
            }
        },
    }
    assert fault_in({"next": {"next": None}}, schema) is None
    assert fault_in({"next": {"nxt": None}}, schema) is not None


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        ("^[0-9]+$", "123", "123\n"),
        (r"^\d{3}$", "123", "١٢٣"),
        (r"^\w+$", "a_1", "é"),
        ("^.$", "é", "\u2028"),
        (r"^\S+$", "é", "\ufeff"),
        (r"^[^\s]+$", "ab", "a\u00a0b"),
        (r"^[\D]$", "١", "1"),
        (r"^\u{41}\x42\cJ$", "AB\n", "AB"),
        (r"(?<n>a)\k<n>", "aa", "ab"),
        ("^[^]$", "\n", ""),
        ("^[[a]$", "[", "b"),
        ("^[a&&b]$", "&", "c"),
        (r"^[\]$.]$", "$", "x"),
        (r"\bcat\b", "é cat", "scat"),
        (r"^\p{L}+$", "éa", "1"),
        (r"^\$\.$", "$.", "a"),
        (r"^[\w-.]+$", "a-.", "a,"),
        (r"^[+-\d]+$", "+-1", ","),
        (r"^[\w-z]$", "-", "`"),
        (r"^[a-c\d-_]+$", "b-_1", "d"),
        (r"^[-a-c-]+$", "a-c", "d"),
        (r"^[\]\-\\]+$", "]-\\", "["),
        (r"^\ud83d\ude00$", "\U0001f600", "\ufffd"),
        (r"^[\ud83d\ude00-\ud83d\ude4f]$", "\U0001f601", "\U0001f680"),
        ("^a{,3}$", "a{,3}", "aa"),
        ("^x{e}$", "x{e}", "y"),
        (r"^\w{s}$", "x{s}", "xx"),
        ("^{a{2}$", "{aa", "{a"),
        (r"^[\b]$", "\b", "b"),
        (r"\A\d\Z", "1", "1\n"),
    ],
)
def test_patterns_mean_what_ecma_says(pattern: str, fits: str, fails: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert fault_in(fits, schema) is None
    assert "pattern" in (fault_in(fails, schema) or "")
    keys = {"patternProperties": {pattern: {"type": "null"}}, "additionalProperties": False}
    assert fault_in({fits: None}, keys) is None
    assert fault_in({fails: None}, keys) is not None


@pytest.mark.parametrize("pattern", ["(", "[a", "[a\\d", "[b-a]", "a{3,2}", "\\", r"\R", r"\L<x>", r"\u{110000}"])
def test_a_pattern_that_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        check_schema({"pattern": pattern})


@given(st.text(alphabet="[]^-\\wdubB{},0123x($.&~", max_size=12))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    with suppress(ConfigurationError):
        check_schema({"pattern": pattern})


@given(st.text(alphabet="[]^-\\a&|~{}$.\n", min_size=1, max_size=6), st.text(alphabet="[]^-\\a&|~{}$.\n", max_size=1))
def test_members_of_a_class_that_are_escaped_are_themselves(members: str, text: str) -> None:
    inside = "".join(char if char == "a" else f"\\u{ord(char):04x}" for char in members)
    for written in (inside, "".join(char if char in "a\n" else f"\\{char}" for char in members)):
        assert (fault_in(text, {"pattern": f"^[{written}]$"}) is None) == (text != "" and text in members)


def test_patterns_in_what_draft_3_disallows() -> None:
    schema = {"$schema": "http://json-schema.org/draft-03/schema#", "disallow": [{"pattern": "^[^]$"}]}
    assert fault_in("ab", schema) is None
    assert "disallow" in (fault_in("\n", schema) or "")


def test_a_wrong_format_is_told_with_an_example() -> None:
    fault = fault_in({"day": "yesterday"}, {"properties": {"day": {"format": "date-time"}}})
    assert fault == ('at $.day: "yesterday" does not satisfy format: "date-time" (such as 2026-11-21T08:30:00Z)')
    assert fault_in(5, {"format": "date-time"}) is None
    old = {"$schema": "http://json-schema.org/draft-03/schema#", "format": "time"}
    assert fault_in("08:30:00", old) is None
