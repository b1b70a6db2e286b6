from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generative_ai_workflow.condition import DEEPEST, LONGEST_TEXT, Condition
from generative_ai_workflow.exceptions import ConfigurationError, ExpressionError

NAMES = {
    "n": 3,
    "text": "hello",
    "items": [1, 2, 3],
    "doc": {"lang": "de", "meta": {"k": None}},
    "yes": True,
    "empty": "",
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
