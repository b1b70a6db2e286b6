from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative_ai_workflow.comparing import MOST_LOOKS
from generative_ai_workflow.condition import DEEPEST, LONGEST_TEXT, Condition
from generative_ai_workflow.exceptions import ConfigurationError, ExpressionError

NAMES = {
    "n": 3,
    "text": "hello",
    "items": [1, 2, 3],
    "doc": {"lang": "de", "meta": {"k": None}},
    "yes": True,
    "empty": "",
    "steps": {"my step": {"score": 2, "the score": 3}, "my-step": 1},
}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("n == 3", True),
        ("n != 3", False),
        ("1 < n <= 3", True),
        ("3 < n <= 3", False),
        ("n > -1.5", True),
        ("n >= 3e0", True),
        ("text == 'hello'", True),
        ('text == "hel\\"lo"', False),
        ("'ell' in text", True),
        ("'x' not in text", True),
        ("not 'x' in text", True),
        ("2 in items", True),
        ("n in [1, 3]", True),
        ("n in []", False),
        ("'lang' in doc", True),
        ("len(items) > 2 and len(text) == 5", True),
        ("yes and not empty", True),
        ("empty or yes", True),
        ("not not yes", True),
        ("(yes or no_such_name) and n == 3", True),
        ("doc.lang == 'de'", True),
        ("doc.meta.k == null", True),
        ("doc.meta.k == None", True),
        ("yes == true and false == False", True),
        ("${doc.lang} == 'de'", True),
        ("empty", False),
        ("items", True),
        ("not items", False),
        ("true or false and false", True),
        ("len('a and b') == 7", True),
        ("steps['my step'].score > 1", True),
        ('steps["my step"]["the score"] == 3', True),
        ("${steps.my step.score} == 2 and ${n} == 3", True),
        ("${steps.my-step} in [1, 2]", True),
        ("doc.meta.k == null or 1 < doc.meta.k", True),
    ],
)
def test_conditions(text: str, met: bool) -> None:
    assert Condition(text)(NAMES) is met


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "n ==",
        "== n",
        "n = 3",
        "n === 3",
        "(n",
        "n)",
        "[1, 2",
        "n and",
        "not",
        "'open",
        "f(n)",
        "n + 1",
        "n; n",
        "lambda: 1",
        "n if yes else 0",
        "x.__class__",
        "__import__('os')",
        "n.",
        "n..m",
        "len n",
        "3n",
        "a b",
        "${n",
        "-text",
        "n == 1e999",
        "n == \u0663",
        "a[0] == 1",
        "a['b' == 1",
        "${join(items, ', ')} == ''",
    ],
)
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ExpressionError):
        Condition(text)


def test_the_error_says_where_and_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="at character 6"):
        Condition("n == = 3")


def test_a_missing_name_names_itself_and_the_known_ones() -> None:
    with pytest.raises(ExpressionError) as caught:
        Condition("txt == 'a'")(NAMES)
    assert "'txt'" in str(caught.value)
    assert "did you mean 'text'?" in caught.value.hint


@pytest.mark.parametrize("text", ["text < 3", "len(n) > 1", "1 in n", "text.upper == 1", "doc.lang.x == 1"])
def test_values_that_do_not_fit(text: str) -> None:
    with pytest.raises(ExpressionError):
        Condition(text)(NAMES)


def test_attributes_cannot_be_reached() -> None:
    with pytest.raises(ExpressionError):
        Condition("o.real == 1")({"o": 1})


def test_size_and_depth_are_bounded() -> None:
    Condition("(" * (DEEPEST - 1) + "n" + ")" * (DEEPEST - 1))
    with pytest.raises(ExpressionError, match="nest deeper"):
        Condition("(" * 200 + "n" + ")" * 200)
    with pytest.raises(ExpressionError, match="nest deeper"):
        Condition("not " * 200 + "n")
    with pytest.raises(ExpressionError, match="nest deeper"):
        Condition("[" * 200 + "]" * 200)
    with pytest.raises(ExpressionError, match="characters"):
        Condition("n" * (LONGEST_TEXT + 1))
    with pytest.raises(ExpressionError, match="words and signs"):
        Condition("n<" * 600 + "n")


def test_names_are_listed() -> None:
    assert Condition("a.b > 1 and c in [d, a.b]").references == (("a", "b"), ("c",), ("d",))


class Loud(str):
    """A text whose class has a say in comparisons."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise SystemExit("never asked")

    __hash__ = str.__hash__


class Thing:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("never asked")

    __hash__ = object.__hash__


class Unsure(Thing):
    def __bool__(self) -> bool:
        raise AssertionError("never asked")


class Broken(dict):
    def __getitem__(self, key: str) -> object:
        raise ZeroDivisionError("broken")


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("loud == 'x'", True),
        ("loud in ['y', 'x']", True),
        ("'x' in [loud]", True),
        ("thing == null", False),
        ("thing != null and thing", True),
        ("[1, 'a'] == pair", True),
        ("1 in mixed and 'z' not in mixed", True),
        ("'day' in days and days.day < '2026-01-02'", True),
    ],
)
def test_classes_of_their_own_have_no_say(text: str, met: bool) -> None:
    names = {"loud": Loud("x"), "thing": Thing(), "pair": [1, Loud("a")], "mixed": [1, "b", None], "days": {"day": ""}}
    assert Condition(text)(names) is met


@pytest.mark.parametrize(
    "text",
    ["thing == 1", "thing in [1]", "1 in [thing]", "thing < 1", "unsure", "not unsure", "unsure or 1", "b.x == 1"],
)
def test_things_that_are_no_data_are_refused_and_never_asked(text: str) -> None:
    with pytest.raises(ExpressionError, match="cannot be decided"):
        Condition(text)({"thing": Thing(), "unsure": Unsure(), "b": Broken(x=1)})


def test_numbers_of_any_size_are_compared() -> None:
    names = {"big": 10**400, "small": 1.5, "odd": float("nan")}
    assert Condition("big > small and small < big and big != small")(names)
    assert Condition(f"big == {10**400}")(names)
    assert Condition("big > 1e300 and not odd == odd")(names)
    assert Condition("odd in [odd]")(names) is True


def test_huge_values_are_refused_instead_of_looked_through() -> None:
    many = {"items": [0] * (MOST_LOOKS // 2), "text": "a" * 500, "texts": ["a" * 499 + "b"] * 300_000}
    assert Condition("1 not in items")(many)
    for text in (
        "1 in items or 2 in items or 3 in items",
        "text in texts",
        "items == items and items <= items and items == items",
    ):
        with pytest.raises(ExpressionError, match="too large"):
            Condition(text)(many)


def test_a_value_inside_itself_is_refused() -> None:
    one: list[object] = []
    one.append(one)
    two: list[object] = []
    two.append(two)
    with pytest.raises(ExpressionError, match="deep"):
        Condition("one == two")({"one": one, "two": two})
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ExpressionError, match="deep"):
        Condition("deep == other")({"deep": deep, "other": [[[deep]]]})


def test_long_texts_are_compared_a_bounded_number_of_times() -> None:
    text = "a" * 40_000_000
    with pytest.raises(ExpressionError, match="too large"):
        Condition(" or ".join(["t == u"] * 100))({"t": text + "b", "u": text + "c"})


def test_errors_do_not_repeat_a_long_condition() -> None:
    with pytest.raises(ExpressionError) as caught:
        Condition(" and ".join(["n == 3"] * 100 + ["nope"]))(NAMES)
    assert len(str(caught.value)) < 600


@given(st.text(st.sampled_from(list("abn01 ()[]<>=!'\"., ${}-")) | st.characters(), max_size=60))
def test_any_text_is_read_or_refused_clearly(text: str) -> None:
    try:
        condition = Condition(text)
    except ExpressionError:
        return
    try:
        condition(NAMES)
    except ExpressionError:
        return


@given(
    st.recursive(
        st.integers(0, 9).map(str) | st.sampled_from(["true", "false"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or", "==", "!="]), inner).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            ),
            inner.map(lambda text: f"(not {text})"),
        ),
        max_leaves=8,
    )
)
def test_it_decides_like_python(text: str) -> None:
    spelled = text.replace("true", "True").replace("false", "False")
    assert Condition(text)({}) is bool(eval(spelled))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", 0.5, -1.5, 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=6,
)
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
ATOMS = st.sampled_from(["x", "y", "z", "len(x)", "1", "-1.5", "'a'", "[x, y]", "None", "True", "[]"])
EXPRESSIONS = st.recursive(
    st.one_of(
        ATOMS, st.tuples(ATOMS, SIGNS, ATOMS).map(" ".join), st.tuples(ATOMS, SIGNS, ATOMS, SIGNS, ATOMS).map(" ".join)
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=5,
)


@given(EXPRESSIONS, PLAIN, PLAIN, PLAIN)
def test_plain_values_compare_as_in_python(text: str, x: object, y: object, z: object) -> None:
    names = {"x": x, "y": y, "z": z}
    condition = Condition(text)
    try:
        expected = eval(text, {"__builtins__": {"len": len}}, names)
    except TypeError:
        with pytest.raises(ExpressionError, match="cannot be decided"):
            condition.evaluate(names)
        return
    assert condition.evaluate(names) == expected
    assert condition(names) is bool(expected)
