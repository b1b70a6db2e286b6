from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import (
    ChatModelError,
    ChatRequest,
    ConfigurationError,
    ErrorCode,
    FrameworkError,
    Message,
    MockChatModel,
    Tool,
)

USER = Message(role="user", content="x")


def refusal(asked, **options):
    with pytest.raises(ConfigurationError) as caught:
        MockChatModel().invoke(asked, **options)
    assert (caught.value.op, caught.value.code) == ("chatmodels.request", ErrorCode.INVALID)
    assert isinstance(caught.value, FrameworkError)
    assert isinstance(caught.value, ValueError)
    return caught.value


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "non-empty prompt"),
        ("  ", "non-empty prompt"),
        (None, "NoneType is no prompt"),
        (5, "int is no prompt"),
        (b"x", "bytes is no prompt"),
        (USER, "Message is no prompt and no conversation"),
        ({"role": "user", "content": "x"}, "dict is no prompt"),
        ([], "without messages"),
        ([("user", "x")], "messages.0: "),
        (["x"], "messages.0: "),
        ([{"role": "boss", "content": "x"}], "messages.0.role: "),
    ],
)
def test_what_is_no_request_is_refused(asked, said):
    assert said in refusal(asked).message


def test_what_a_conversation_looks_like_stands_in_the_hint():
    assert all("Message(role=" in refusal(asked).hint for asked in (None, 5, USER, [], [("user", "x")], ["x"]))


def test_each_fault_has_a_line():
    error = refusal("x", temperature=5, max_tokens=0, temprature=1)
    assert error.message.count("\n") == 2
    assert "temperature: Input should be less than or equal to 2, got 5" in error.message
    assert "max_tokens: " in error.message
    assert "temprature: there is no such option" in error.message
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("temprature", "did you mean 'temperature'"),
        ("top_p", "extra_params={'top_p': ...}"),
        ("system", "did you mean 'system_prompt'"),
        ("max_completion_tokens", "did you mean 'max_tokens'"),
        ("timeout_s", "create_chat_model(..., timeout_s=...)"),
        ("timeout", "create_chat_model(..., timeout_s=...)"),
        ("api_key", "create_chat_model(..., api_key=...)"),
        ("zzzz", "options: prompt, messages"),
    ],
)
def test_an_unknown_option_has_a_hint(option, advice):
    error = refusal("x", **{option: "a-value-of-it"})
    assert advice in error.hint
    assert "a-value-of-it" not in str(error)


def test_a_request_with_wrong_options_is_refused_as_well():
    assert "temperature" in refusal(ChatRequest(prompt="x"), temperature=5).message
    assert "prompt is given twice" in refusal("x", prompt="y").message


def test_options_go_on_top_of_a_request():
    model = MockChatModel()
    model.invoke(ChatRequest(prompt="x", seed=1), seed=2, temperature=0.1)
    asked = model.last_request
    assert (asked.prompt, asked.seed, asked.temperature) == ("x", 2, 0.1)
    assert "max_tokens" not in asked.model_fields_set


@given(st.text(alphabet="abcdefgh ", min_size=30))
def test_no_text_of_a_document_is_in_the_error(text):
    secret = f"<{text}>"
    wrong = (
        refusal([{"role": "user", "content": secret, "more": secret}]),
        refusal([{"role": secret, "content": secret}]),
        refusal([USER], system_prompt=[secret]),
        refusal([secret]),
    )
    assert not any(secret in str(error) for error in wrong)


def test_every_way_to_ask_says_the_same():
    model = MockChatModel()
    for ask in (model.stream, model.generate_messages, model.stream_messages, lambda asked: model.parse(asked, int)):
        with pytest.raises(ConfigurationError, match="wrong request"):
            ask("")


class TestBatch:
    def failing(self):
        return MockChatModel({"bad": ErrorCode.RATE_LIMIT, "default": "fine"})

    def test_failed_items_stand_in_their_place(self):
        answers = self.failing().batch(["a", "bad", "", "b"], return_exceptions=True, max_concurrency=2)
        assert [type(answer).__name__ for answer in answers] == [
            "ChatResponse",
            "ChatModelError",
            "ConfigurationError",
            "ChatResponse",
        ]

    def test_without_it_the_first_failure_is_raised(self):
        with pytest.raises(ChatModelError, match="rate_limit"):
            self.failing().batch(["a", "bad", "b"])

    def test_any_iterable_will_do(self):
        assert [answer.content for answer in MockChatModel("y").batch(str(number) for number in range(3))] == ["y"] * 3
        assert MockChatModel("y").batch(iter(())) == []

    @pytest.mark.parametrize("one", ["hello", b"hello", ChatRequest(prompt="x"), USER, {"a": 1}, None, 5])
    def test_a_single_request_is_refused(self, one):
        model = MockChatModel()
        with pytest.raises(ConfigurationError, match="a batch takes several requests"):
            model.batch(one)
        assert model.call_count == 0

    @pytest.mark.parametrize("most", [0, -1, None, 1.5, True])
    def test_nothing_at_once_is_refused(self, most):
        with pytest.raises(ConfigurationError, match="max_concurrency must be"):
            MockChatModel().batch(["a"], max_concurrency=most)


CLOCK = Tool(name="clock")
ANSWER = Message(role="tool", content="12:00")


@pytest.mark.parametrize(
    ("asked", "options", "said"),
    [
        ("x", {"tool_choice": "any", "tools": [CLOCK]}, "given are clock; 'required' makes a model call any"),
        ("x", {"tool_choice": "watch", "tools": [CLOCK]}, "nor the name of a tool: those given are clock"),
        ("x", {"tool_choice": "clock"}, "nor the name of a tool: and there are no tools"),
        ("x", {"tool_choice": "required"}, "asks for a call, and there are no tools"),
        ("x", {"tools": [{"name": "my clock!"}]}, "at index 0: a mapping that is no tool: the name of a tool is"),
        ("x", {"extra_params": {"top_p": float("nan")}}, "extra_params: top_p is nan"),
        ([USER, ANSWER], {}, "the message at index 1 of role tool needs tool_call_id"),
        ([{"role": "user", "content": [{"url": "cat.jpg"}]}], {}, "begins with http"),
    ],
)
def test_what_no_provider_could_take_is_refused(asked, options, said):
    assert said in refusal(asked, **options).message


@pytest.mark.parametrize("choice", ["auto", "none", "required", "clock"])
def test_choices_among_tools(choice):
    assert MockChatModel().invoke("x", tools=[CLOCK], tool_choice=choice).content is not None
    assert MockChatModel().invoke("x", tool_choice="auto").content


@pytest.mark.parametrize(
    ("method", "more", "wrong", "right"),
    [
        ("batch", (), "max_concurency", "max_concurrency"),
        ("batch", (), "return_exception", "return_exceptions"),
        ("batch_parse", (int,), "parse_retrys", "parse_retries"),
        ("batch_parse", (int,), "max_concurency", "max_concurrency"),
        ("parse", (int,), "parse_retrys", "parse_retries"),
        ("parse", (int,), "max_token_cap", "max_tokens_cap"),
        ("parse", (int,), "temprature", "temperature"),
    ],
)
def test_the_options_of_a_method_itself_are_known_to_those_who_misspell_them(method, more, wrong, right):
    model = MockChatModel("1")
    with pytest.raises(ConfigurationError) as caught:
        getattr(model, method)("x" if method == "parse" else ["x", "y"], *more, **{wrong: 1})
    assert caught.value.message == f"wrong request: {wrong}: there is no such option"
    assert caught.value.hint == f"did you mean {right!r} instead of {wrong!r}?"
    assert model.call_count == 0


def test_a_method_tells_its_own_options_beside_those_of_a_request():
    with pytest.raises(ConfigurationError) as caught:
        MockChatModel().batch(["x"], qqq=1)
    assert caught.value.hint.startswith("options: max_concurrency, return_exceptions, prompt")
    assert "max_concurrency" not in refusal("x", qqq=1).hint


def test_an_unknown_option_of_a_batch_stands_in_nobodys_place():
    with pytest.raises(ConfigurationError, match="there is no such option"):
        MockChatModel().batch(["x", "y"], qqq=1, return_exceptions=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parse_retries": -1}, "parse_retries must be a whole number, 0 or more, got -1"),
        ({"parse_retries": 1.5}, "parse_retries must be a whole number, 0 or more, got 1.5"),
        ({"parse_retries": True}, "parse_retries must be a whole number, 0 or more, got True"),
        ({"max_tokens_cap": 0}, "max_tokens_cap must be a whole number, 1 or more, got 0"),
    ],
)
def test_efforts_that_are_none_are_refused(options, said):
    for ask in (
        lambda m: m.parse("x", int, **options),
        lambda m: m.batch_parse(["x"], int, return_exceptions=True, **options),
    ):
        model = MockChatModel("1")
        with pytest.raises(ConfigurationError) as caught:
            ask(model)
        assert (caught.value.message, model.call_count) == (said, 0)
