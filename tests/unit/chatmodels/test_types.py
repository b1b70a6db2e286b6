from __future__ import annotations

import pickle
import threading

import pytest
from pydantic import BaseModel, ValidationError

from chatmodels import (
    ChatRequest,
    ChatResponse,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    TokenUsage,
    Tool,
    ToolCall,
)


def usage(prompt: int = 3, completion: int = 2, model: str = "m", provider: str = "p", **more: int) -> TokenUsage:
    return TokenUsage(prompt_tokens=prompt, completion_tokens=completion, model=model, provider=provider, **more)


class TestChatRequest:
    def test_a_prompt_is_one_turn_of_the_user(self):
        request = ChatRequest(prompt="Hi", system_prompt="Be short")
        assert [(m.role, m.content) for m in request.messages] == [("system", "Be short"), ("user", "Hi")]

    def test_prompt_and_system_prompt_are_seen_in_messages(self):
        request = ChatRequest(messages=(Message(role="system", content="S"), Message(role="user", content="U")))
        assert (request.prompt, request.system_prompt) == ("U", "S")

    def test_a_system_prompt_beside_messages_becomes_their_first_turn(self):
        request = ChatRequest(messages=(Message(role="user", content="U"),), system_prompt="S")
        assert [m.role for m in request.messages] == ["system", "user"]

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"prompt": "   "},
            {"prompt": "other", "messages": [{"role": "user", "content": "U"}]},
            {"system_prompt": "other", "messages": [{"role": "system", "content": "S"}]},
            {"prompt": "x", "temperature": 2.1},
            {"prompt": "x", "temperature": -0.1},
            {"prompt": "x", "max_tokens": 0},
            {"prompt": "x", "max_tokens": 128_001},
            {"prompt": "x", "model": ""},
            {"prompt": "x", "temprature": 1},
        ],
    )
    def test_nonsense_is_refused(self, fields):
        with pytest.raises(ValidationError):
            ChatRequest(**fields)

    def test_it_survives_a_round_trip(self):
        request = ChatRequest(prompt="Hi", system_prompt="S", temperature=0.0, stop="END")
        assert ChatRequest.model_validate(request.model_dump()) == request
        assert pickle.loads(pickle.dumps(request)) == request

    def test_one_stop_word_may_stand_alone(self):
        assert ChatRequest(prompt="x", stop="END").stop == ("END",)

    def test_filling_leaves_what_was_given(self):
        request = ChatRequest(prompt="x", temperature=0.0)
        filled = request.filled({"temperature": 0.9, "max_tokens": 7, "seed": None})
        assert (filled.temperature, filled.max_tokens, filled.seed) == (0.0, 7, None)

    def test_filling_with_what_is_given_already_is_the_same_request(self):
        request = ChatRequest(prompt="x", temperature=0.0)
        assert request.filled({"temperature": 0.9}) is request

    def test_it_cannot_be_changed(self):
        with pytest.raises(ValidationError):
            ChatRequest(prompt="x").prompt = "y"


class TestTokenUsage:
    def test_the_total_is_the_sum(self):
        assert usage(3, 2).total_tokens == 5

    def test_a_wrong_total_is_refused(self):
        with pytest.raises(ValidationError, match="total_tokens must equal"):
            usage(3, 2, total_tokens=6)

    def test_usages_add_up(self):
        total = usage(3, 2, cached_tokens=1, cache_write_tokens=2) + usage(10, 20, reasoning_tokens=4, estimated=True)
        assert (total.prompt_tokens, total.completion_tokens, total.total_tokens) == (13, 22, 35)
        assert (total.cached_tokens, total.reasoning_tokens, total.model) == (1, 4, "m")
        assert (total.cache_write_tokens, total.estimated) == (2, True)

    def test_a_sum_over_several_models_says_so(self):
        total = usage(model="a") + usage(model="b", provider="q")
        assert (total.model, total.provider) == ("mixed", "mixed")

    def test_negative_counts_are_refused(self):
        with pytest.raises(ValidationError):
            usage(-1, 2)


class TestMessage:
    def test_text_of_several_parts_leaves_pictures_out(self):
        message = Message(
            role="user", content=(TextPart(text="a"), ImagePart(data=b"x", media_type="image/png"), TextPart(text="b"))
        )
        assert message.text == "ab"

    def test_bytes_become_a_data_address(self):
        assert ImagePart(data=b"abc", media_type="image/jpeg").as_url() == "data:image/jpeg;base64,YWJj"

    def test_pictures_survive_json(self):
        message = Message(role="user", content=(ImagePart(data=bytes(range(256)), media_type="image/png"),))
        assert Message.model_validate_json(message.model_dump_json()) == message

    def test_a_picture_has_one_source(self):
        with pytest.raises(ValidationError):
            ImagePart()
        with pytest.raises(ValidationError):
            ImagePart(data=b"x", url="https://example.org/x.png")

    def test_the_bytes_of_a_picture_tell_its_type(self):
        assert ImagePart(data=b"\xff\xd8\xff\xe0 and more").media_type == "image/jpeg"
        assert ImagePart(data=b"\xff\xd8\xff\xe0", media_type="image/webp").media_type == "image/webp"

    @pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.4", b"\xff\xd8"])
    def test_bytes_that_are_no_known_picture_need_a_media_type(self, data):
        with pytest.raises(ValidationError, match="no picture of a known type"):
            ImagePart(data=data)
        assert ImagePart(data=data, media_type="image/x-own").media_type == "image/x-own"

    @pytest.mark.parametrize("url", ["cat.jpg", "/tmp/cat.jpg", "file:///cat.jpg", "", "ftp://example.org/cat.jpg"])
    def test_an_address_is_one_that_a_provider_finds(self, url):
        with pytest.raises(ValidationError, match="begins with http"):
            ImagePart(url=url)
        assert ImagePart(url="HTTPS://example.org/cat.jpg").url == "HTTPS://example.org/cat.jpg"

    def test_the_bytes_of_a_picture_are_not_shown(self):
        assert "SECRETPIXELS" not in repr(ImagePart(data=b"SECRETPIXELS", media_type="image/png"))


def test_the_pictures_of_a_request_in_order_and_no_field_of_it():
    first, second, third = (ImagePart(data=data, media_type="image/png") for data in (b"1", b"2", b"3"))
    turns = (
        Message(role="user", content=(TextPart(text="a"), first, second)),
        Message(role="assistant", content="b"),
        Message(role="user", content=(third,)),
    )
    request = ChatRequest(messages=turns)
    assert request.images == (first, second, third)
    assert "images" not in request.model_dump()
    assert ChatRequest(prompt="x").images == ()


class TestWhatCannotBeSent:
    @pytest.mark.parametrize("name", ["my clock!", "", "a.b", "x" * 65, "uhr\n", "ühr"])
    def test_names_of_tools(self, name):
        with pytest.raises(ValidationError, match="the name of a tool is 1 to 64 letters"):
            Tool(name=name)
        assert Tool(name="my_Clock-" + "x" * 55).description == ""

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_json_does_not_have(self, number):
        for make in (
            lambda: Tool(name="f", parameters={"a": [{"b": number}]}),
            lambda: ToolCall(id="1", name="f", arguments={"a": [{"b": number}]}),
            lambda: ChatRequest(prompt="x", extra_params={"a": [{"b": number}]}),
        ):
            with pytest.raises(ValidationError, match=r"a\[0\]\.b is -?(nan|inf), and JSON has no such number"):
                make()


class TestChatResponse:
    def test_it_is_the_next_turn(self):
        response = ChatResponse(content="Hi", model="m", usage=usage())
        assert response.message == Message(role="assistant", content="Hi")

    def test_an_empty_answer_needs_a_reason(self):
        with pytest.raises(ValidationError, match="content must not be empty"):
            ChatResponse(content="", model="m", usage=usage())
        assert ChatResponse(content="", model="m", usage=usage(), finish_reason="length").content == ""


def test_a_response_format_has_a_schema_exactly_when_it_says_so():
    with pytest.raises(ValidationError):
        ResponseFormat(type="json_schema")
    with pytest.raises(ValidationError):
        ResponseFormat(type="text", json_schema={})


class Mood(BaseModel):
    mood: str


MOOD = {
    "type": "object",
    "title": "Mood",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (Mood, ResponseFormat(type="json_schema", json_schema=MOOD, name="Mood")),
        (MOOD, ResponseFormat(type="json_schema", json_schema=MOOD, name="Mood")),
        ({"enum": ["a"]}, ResponseFormat(type="json_schema", json_schema={"enum": ["a"]})),
        ({"type": "json_object"}, ResponseFormat(type="json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "m", "schema": MOOD, "strict": True}},
            ResponseFormat(type="json_schema", json_schema=MOOD, name="m"),
        ),
        (
            {"type": "json_schema", "json_schema": MOOD, "name": "m"},
            ResponseFormat(type="json_schema", json_schema=MOOD, name="m"),
        ),
        (ResponseFormat(type="json_object"), ResponseFormat(type="json_object")),
    ],
)
def test_a_response_format_is_made_of_many_shapes(shape, wanted):
    assert ResponseFormat.of(shape) == wanted
    request = ChatRequest(prompt="x", response_format=shape)
    assert request.response_format == wanted
    assert ChatRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize("shape", [3, "Mood", Mood(mood="good"), {"type": "json_schema"}, type(threading.Lock())])
def test_what_is_no_response_format(shape):
    with pytest.raises(ValueError):
        ResponseFormat.of(shape)
    with pytest.raises(ValidationError, match="response_format"):
        ChatRequest(prompt="x", response_format=shape)
