from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from chatmodels import ChatRequest, ConfigurationError, MockChatModel, Tool


def weather(city: str, day: Literal["today", "tomorrow"] = "today", *, wind: Annotated[bool, Field(description="w")] = False) -> str:  # fmt: skip  # noqa: E501
    """The weather
    in a city.

    It is a guess.

    Args:
        city: the name of the city,
            as people there write it
        day (str): which day
        wind: not this

    Returns:
        city: no argument
    """
    return f"{city} {day} {wind}"


class Search(BaseModel):
    """Looks for words."""

    words: list[str]
    most: int | None = None


class Shop:
    async def order(self, what: str) -> None:
        """Order something."""


def bare(city): ...


def many(*cities: str): ...


def named(**more: str): ...


def by_place(city: str, /): ...


def test_a_function_tells_what_it_takes():
    tool = Tool.of(weather)
    assert (tool.name, tool.description) == ("weather", "The weather in a city.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "the name of the city, as people there write it"},
            "day": {"enum": ["today", "tomorrow"], "type": "string", "default": "today", "description": "which day"},
            "wind": {"type": "boolean", "default": False, "description": "w"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_model_a_method_and_a_function_without_arguments():
    def now():
        pass

    assert Tool.of(Search).parameters["required"] == ["words", "most"]
    assert (Tool.of(Search).name, Tool.of(Search).description) == ("Search", "Looks for words.")
    assert list(Tool.of(Shop().order).parameters["properties"]) == ["what"]
    assert Tool.of(now) == Tool(name="now")


def test_a_request_takes_functions():
    model = MockChatModel()
    model.invoke("x", tools=[weather, Search])
    assert model.last_request.tools == (Tool.of(weather), Tool.of(Search))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (bare, "the argument 'city' has no annotation"),
        (many, "takes none"),
        (named, "takes none"),
        (by_place, "takes none"),
        (5, "int is no tool"),
    ],
)
def test_what_cannot_be_told_to_a_model(function, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        Tool.of(function)
    assert caught.value.hint
    with pytest.raises(ValueError, match="the tool at index 0: "):
        ChatRequest(prompt="x", tools=[function])


@pytest.mark.parametrize("thing", [lambda: None, {"name": "two words"}, {"function": {"name": "x" * 65}}])
def test_names_that_no_provider_takes(thing):
    with pytest.raises(ConfigurationError, match="the name of a tool is 1 to 64 letters") as caught:
        Tool.of(thing)
    assert caught.value.hint


def test_types_that_json_cannot_express_or_nobody_knows():
    def run(job: Shop) -> None:
        pass

    def walk(where: Nowhere) -> None:  # noqa: F821
        pass

    for function, said in ((run, "run"), (walk, "'walk': name 'Nowhere' is not defined")):
        with pytest.raises(ConfigurationError, match=said):
            Tool.of(function)


def half(x: int): ...


def divided(x: int): ...


half.__annotations__["x"] = "int |"
divided.__annotations__["x"] = "1/0"


def endless(x: float = float("inf")): ...


def unsigned(x: int): ...


unsigned.__signature__ = "zz"


class Closed:
    def __getattr__(self, name):
        raise RuntimeError("no such luck")

    def __call__(self, x: int): ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (half, "'half': SyntaxError: "),
        (divided, "'divided': ZeroDivisionError: division by zero"),
        (endless, "'endless': its arguments hold what is no JSON"),
        (unsigned, "'unsigned': its arguments cannot be seen"),
    ],
)
def test_annotations_that_fail_by_themselves_are_told(function, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        Tool.of(function)
    assert caught.value.hint


def test_a_callable_whose_attributes_fail_is_told():
    with pytest.raises(ConfigurationError, match="'Closed': RuntimeError: no such luck"):
        Tool.of(Closed())


@pytest.mark.parametrize("one", [weather, Search, {"name": "weather"}, Tool.of(weather)])
def test_one_tool_in_the_place_of_a_list_is_told_so(one):
    with pytest.raises(ConfigurationError, match="one tool where a list should be") as caught:
        MockChatModel().invoke("x", tools=one)
    assert "valid tuple" not in caught.value.message
