from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import subprocess
import sys
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import (
    ChatChunk,
    ChatModelError,
    ChatRequest,
    ErrorCode,
    ImagePart,
    Message,
    MockChatModel,
    ProviderAuthError,
    RecordingModel,
    ReplayModel,
    ResponseFormat,
    Tool,
    ToolCall,
    create_chat_model,
)
from chatmodels.cassette.tape import read_tape
from chatmodels.guard import check_allowed
from chatmodels.testing import ChatModelExam, allow_model_requests, forbid_model_requests
from fmf_core.errors import ConfigurationError, FrameworkError
from fmf_core.redact import add_secret, redact


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


@pytest.fixture(params=["jsonl", "yaml"])
def path(tmp_path, request):
    return tmp_path / "deep" / f"calls.{request.param}"


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with forbid_model_requests():
        yield


def record(path, model, *calls):
    recorder = RecordingModel(model, path)
    for call in calls:
        call(recorder)
    return recorder


def count(path):
    """How many calls are on record."""
    text = path.read_text(encoding="utf-8")
    return len(text.splitlines()) if path.suffix == ".jsonl" else text.count("---\n")


def plain(chunks):
    """The pieces as they were before they were on record."""
    return [chunk.model_copy(update={"cached": False}) for chunk in chunks]


class Anything(ReplayModel):
    """Replays one recorded call for whatever is asked."""

    def _next(self, request):
        return self._calls[0]


class TestExam(ChatModelExam):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "calls.jsonl"
        record(self.path, MockChatModel("Hello to you."), lambda m: m.invoke("x"))

    def make_model(self):
        return Anything(self.path)

    def make_failing_model(self):
        return ReplayModel(self.path)


class TestRecorderExam(ChatModelExam):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "calls.jsonl"

    def make_model(self):
        return RecordingModel(MockChatModel(), self.path)

    def make_failing_model(self):
        failure = ChatModelError("no", op="mock.complete", code=ErrorCode.INVALID)
        return RecordingModel(MockChatModel(fail_with=failure), self.path)


def test_sync_async_and_streams_replay_alike(path, no_sockets):
    model = create_chat_model("mock", responses=lambda r: f"answer to {r.prompt}", model="gpt-4o-mini")
    recorder = RecordingModel(model, path)
    whole = recorder.invoke("a")
    awaited = in_own_loop(recorder.ainvoke("b"))
    pieces = list(recorder.stream("c"))
    replay = ReplayModel(path)
    for prompt, expected in [("a", whole), ("b", awaited)]:
        for response in (replay.invoke(prompt), in_own_loop(replay.ainvoke(prompt))):
            assert (response.content, response.usage, response.model) == (
                expected.content,
                expected.usage,
                expected.model,
            )
            assert (response.cached, response.cost_usd) == (True, 0.0)
    for chunks in (list(replay.stream("c")), in_own_loop(collect(replay.astream("c")))):
        assert plain(chunks) == pieces
        assert [chunk.cached for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


async def collect(stream):
    return [chunk async for chunk in stream]


def test_a_whole_answer_can_be_streamed_and_a_stream_taken_whole(path):
    record(path, MockChatModel("one two"), lambda m: m.invoke("whole"), lambda m: list(m.stream("pieces")))
    replay = ReplayModel(path)
    chunks = list(replay.stream("whole"))
    assert "".join(c.text for c in chunks) == "one two"
    assert chunks[-1].usage == replay.invoke("whole").usage
    assert replay.invoke("pieces").content == "one two"
    assert replay.invoke("pieces").cost_usd == 0.0


def test_equal_requests_replay_in_order_and_then_again(path):
    record(path, MockChatModel(["1", "2", "3"]), *[lambda m: m.invoke("x")] * 3)
    replay = ReplayModel(path)
    assert [replay.invoke("x").content for _ in range(7)] == ["1", "2", "3", "1", "2", "3", "1"]


def test_whole_and_streamed_calls_replay_in_one_order(path):
    def streamed(model):
        return "".join(chunk.text for chunk in model.stream("x"))

    def whole(model):
        return model.invoke("x").content

    record(path, MockChatModel(["1", "2", "3"]), whole, whole, whole)
    replay = ReplayModel(path)
    assert [ask(replay) for ask in (whole, streamed, whole, streamed)] == ["1", "2", "3", "1"]
    record(path, MockChatModel(["1", "2"]), whole, streamed)
    replay = ReplayModel(path)
    assert [ask(replay) for ask in (whole, whole, streamed)] == ["1", "2", "1"]


SETTINGS = {"model": "llama-A", "temperature": 0.0, "max_tokens": 50, "seed": 7}


def test_what_is_on_record_is_what_is_sent(path):
    recorder = RecordingModel(create_chat_model("mock", responses=["a", "b"], **SETTINGS), path)
    recorder.invoke("q")
    list(recorder.stream("r", temperature=0.5))
    recorded = [call.request for call in read_tape(path)]
    assert {name: recorded[0][name] for name in SETTINGS} == SETTINGS
    assert {name: recorded[1][name] for name in SETTINGS} == {**SETTINGS, "temperature": 0.5}


def test_a_setting_that_is_left_open_does_not_count_and_one_that_is_given_does(path):
    RecordingModel(create_chat_model("mock", responses="a", **SETTINGS), path).invoke("q")
    for right in ({}, {"model": "llama-A"}, {"temperature": 0}, SETTINGS):
        assert ReplayModel(path).invoke("q", **right).content == "a"
    for wrong in ({"model": "llama-B"}, {"temperature": None}, {"max_tokens": 51}, {**SETTINGS, "seed": 8}):
        with pytest.raises(FrameworkError, match="not on record") as caught:
            ReplayModel(path).invoke("q", **wrong)
        changed = [line[1:] for line in caught.value.fields["diff"].splitlines()[3:] if line[0] in "+-"]
        assert {line.split(":")[0] for line in changed} == {next(reversed(wrong))}


def test_settings_tell_recorded_calls_apart(path):
    model = MockChatModel(lambda request: f"{request.temperature}")
    record(path, model, *(lambda m, t=t: m.invoke("q", temperature=t) for t in (0.0, 1.0, 0.0)))
    replay = ReplayModel(path)
    assert replay.invoke("q", temperature=1.0).content == "1.0"
    assert [replay.invoke("q").content for _ in range(3)] == ["0.0", "1.0", "0.0"]


def test_errors_are_part_of_the_record(path):
    failures = [
        ChatModelError("slow down", op="v.c", code=ErrorCode.RATE_LIMIT, retry_after=2.0, fields={"attempts": 3}),
        ProviderAuthError("no", op="v.c"),
    ]
    recorder = RecordingModel(MockChatModel(failures), path)
    for _ in failures:
        with pytest.raises(ChatModelError):
            recorder.invoke("x")
    replay = ReplayModel(path)
    with pytest.raises(ChatModelError, match="slow down") as caught:
        replay.invoke("x")
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.RATE_LIMIT, 2.0)
    assert caught.value.fields == {"attempts": 3}
    with pytest.raises(ProviderAuthError):
        in_own_loop(replay.ainvoke("x"))


def test_a_replayed_error_says_from_which_line_of_which_file_it_comes(path):
    down = ChatModelError("cannot be reached", op="v.c", code=ErrorCode.UNAVAILABLE, hint="is the server up?")
    recorder = RecordingModel(MockChatModel(["fine", down, ErrorCode.AUTH]), path)
    recorder.invoke("x")
    for _ in range(2):
        with pytest.raises(ChatModelError):
            recorder.invoke("y")
    replay = ReplayModel(path)
    # In YAML a call begins on the line after its dashes.
    line = 2 if path.suffix == ".jsonl" else path.read_text().splitlines().index("---", 1) + 2
    for ask in (lambda: replay.invoke("y"), lambda: list(ReplayModel(path).stream("y"))):
        with pytest.raises(ChatModelError) as caught:
            ask()
        assert caught.value.hint.startswith(f"replayed from {path}, line {line}: delete it there, or record it again")
        assert caught.value.hint.endswith("(the recorded hint: is the server up?)")


def test_calls_that_were_never_made_are_not_on_record(path):
    class Remote(MockChatModel):
        async def complete_async(self, request):
            check_allowed("remote")
            return await super().complete_async(request)

    recorder = RecordingModel(Remote([ErrorCode.BUDGET, ErrorCode.CANCELLED, ErrorCode.BUDGET, ErrorCode.AUTH]), path)
    with forbid_model_requests(), pytest.raises(ChatModelError, match="forbidden"):
        recorder.invoke("x")
    with allow_model_requests():
        for ask in (recorder.invoke, recorder.invoke, lambda prompt: list(recorder.stream(prompt)), recorder.invoke):
            with pytest.raises(ChatModelError):
                ask("x")
    assert count(path) == 1
    with pytest.raises(ProviderAuthError):
        ReplayModel(path).invoke("x")


def test_a_stream_that_broke_replays_its_pieces_and_its_error(path):
    class Breaking(MockChatModel):
        async def stream_async(self, request):
            async for chunk in super().stream_async(request):
                yield chunk
                raise ChatModelError("cut", op="v.s", code=ErrorCode.UNAVAILABLE)

    with pytest.raises(ChatModelError):
        list(RecordingModel(Breaking("a b"), path).stream("x"))
    got = []
    with pytest.raises(ChatModelError, match="cut"):
        got.extend(chunk.text for chunk in ReplayModel(path).stream("x"))
    assert got == ["a "]


def test_a_stream_that_was_left_early_is_not_on_record(path):
    recorder = RecordingModel(MockChatModel("a b c"), path)
    stream = recorder.stream("x")
    next(stream)
    stream.close()
    recorder.invoke("y")
    assert count(path) == 1


def test_an_unmatched_request_says_what_differs(path):
    record(
        path, MockChatModel(), lambda m: m.invoke("Summarise the report", temperature=0.0), lambda m: m.invoke("zzz")
    )
    with pytest.raises(FrameworkError) as caught:
        ReplayModel(path).invoke("Summarise the report", temperature=0.5)
    text = str(caught.value)
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert "'Summarise the report'" in text
    assert "\n-temperature: 0.0\n+temperature: 0.5\n" in text
    assert "zzz" not in text


def test_an_empty_record_matches_nothing(path):
    path.parent.mkdir(parents=True)
    path.write_text("\n")
    with pytest.raises(FrameworkError, match="'x' is not on record"):
        ReplayModel(path).invoke("x")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": None},
        {"max_tokens": 5},
        {"seed": 1},
        {"stop": ("END",)},
        {"tools": (Tool(name="t"),)},
        {"tool_choice": "none"},
        {"response_format": ResponseFormat(type="json_object")},
        {"extra_params": {"top_p": 0.1}},
        {"system_prompt": "S"},
    ],
)
def test_everything_that_decides_the_answer_is_compared(path, change):
    record(path, MockChatModel(), lambda m: m.invoke("x"))
    with pytest.raises(FrameworkError):
        ReplayModel(path).invoke("x", **change)


def test_a_prompt_and_its_messages_are_the_same_request(path):
    record(path, MockChatModel("a"), lambda m: m.invoke("x"))
    assert ReplayModel(path).invoke([Message(role="user", content="x")]).content == "a"


def test_tool_calls_and_pictures_survive(path):
    picture = Message(role="user", content=(ImagePart(data=bytes(range(256)), media_type="image/png"),))
    record(path, MockChatModel(ToolCall(id="1", name="t", arguments={"a": [1]})), lambda m: m.invoke([picture]))
    replay = ReplayModel(path)
    assert replay.invoke([picture]).tool_calls[0].arguments == {"a": [1]}
    assert list(replay.stream([picture]))[-1].tool_calls[0].name == "t"
    with pytest.raises(FrameworkError):
        replay.invoke([Message(role="user", content=(ImagePart(data=b"other", media_type="image/png"),))])


def test_whoever_changes_the_arguments_of_a_tool_call_changes_no_record(path):
    record(
        path,
        MockChatModel([ToolCall(id="1", name="pay", arguments={"to": {"iban": "A"}})]),
        lambda model: model.invoke("x"),
    )
    replay = ReplayModel(path)
    for _ in range(2):
        streamed = [call for chunk in replay.stream("x") for call in chunk.tool_calls]
        for call in (*replay.invoke("x").tool_calls, *streamed):
            assert call.arguments == {"to": {"iban": "A"}}
            call.arguments["to"]["iban"] = "B"


def test_no_secret_reaches_the_file(path):
    key = "sk-proj-" + "a1B2c3D4" * 6
    add_secret("hunter2-hunter2")
    record(
        path,
        MockChatModel("your key is " + key),
        lambda m: m.invoke(f"my password is hunter2-hunter2 and {key}", extra_params={"api_key": "abcdefgh1234"}),
        lambda m: list(m.stream(f"again {key}")),
    )
    text = path.read_text()
    assert not [secret for secret in (key, "hunter2-hunter2", "abcdefgh1234") if secret in text]
    replay = ReplayModel(path)
    assert replay.invoke(f"my password is hunter2-hunter2 and {key}", extra_params={"api_key": "abcdefgh1234"}).content


def test_a_secret_that_a_stream_cuts_reaches_no_file(path):
    key = "sk-proj-" + "a1B2c3D4" * 6
    recorder = RecordingModel(MockChatModel(f"the key {key} is yours", chunk_chars=5), path)
    streamed = "".join(chunk.text for chunk in recorder.stream("x"))
    assert key in streamed
    text = path.read_text()
    assert not [key[start : start + 12] for start in range(8, len(key) - 12) if key[start : start + 12] in text]
    chunks = list(ReplayModel(path).stream("x"))
    replayed = "".join(chunk.text for chunk in chunks)
    assert key not in replayed
    assert replayed.startswith("the key ")
    assert replayed.endswith(" is yours")
    assert len(chunks) > 3
    assert chunks[-1].usage


@pytest.mark.parametrize("way", [lambda m, q: m.invoke(q), lambda m, q: list(m.stream(q))], ids=["whole", "streamed"])
def test_requests_that_only_a_secret_tells_apart_are_an_error(path, way):
    asked = []
    recorder = RecordingModel(MockChatModel(lambda request: asked.append(request.prompt) or "x"), path)
    one, other = "my password: Tiger-99", "my password: Lions-77"
    way(recorder, one)
    recorder.invoke(one, temperature=0.0)  # with another setting it is the same secret
    with pytest.raises(ChatModelError, match="differ only in what looks like a secret") as caught:
        way(recorder, other)
    assert caught.value.code is ErrorCode.INVALID
    assert asked == [one, one]
    replay = ReplayModel(path)
    way(replay, other)  # whatever the secret is, it is the one request on record
    with pytest.raises(ChatModelError, match="differ only in what looks like a secret"):
        way(replay, one)
    assert "Tiger" not in path.read_text()


def test_numbers_are_no_secrets(path):
    arguments = {"cookies": 3, "password": "dog", "secret": [1, 2.5], "n": 10**25, "token": True, "pin": None}
    call = ToolCall(id="1", name="f", arguments=arguments)
    turns = [Message(role="user", content="x"), Message(role="assistant", tool_calls=[call])]
    record(path, MockChatModel(call), lambda m: m.invoke("x"), lambda m: list(m.stream("y")), lambda m: m.invoke(turns))
    replay = ReplayModel(path)
    for made in (replay.invoke("x"), list(replay.stream("y"))[-1], replay.invoke(turns)):
        assert made.tool_calls[0].arguments == {**arguments, "password": "[REDACTED]"}


def test_what_changes_from_time_to_time_is_not_on_record(path):
    model = create_chat_model("mock", responses="a", latency_s=0.001)
    record(path, model, lambda m: m.invoke("x"), lambda m: list(m.stream("x")))
    assert "latency" not in path.read_text()
    first = path.read_text()
    record(path, model, lambda m: m.invoke("x"), lambda m: list(m.stream("x")))
    assert path.read_text() == first


@given(st.text(min_size=1), st.lists(st.text(), max_size=4))
def test_any_text_survives(tmp_path_factory, answer, pieces):
    class Cut(MockChatModel):
        async def stream_async(self, request):
            for piece in pieces:
                yield ChatChunk(text=piece)
            yield ChatChunk(text="", finish_reason="stop", usage=(await self.complete_async(request)).usage)

    for suffix in ("jsonl", "yaml"):
        path = tmp_path_factory.mktemp("texts") / f"calls.{suffix}"
        record(path, Cut(answer), lambda m: m.invoke("whole"), lambda m: list(m.stream("pieces", stop=(answer,))))
        replay = ReplayModel(path)
        assert replay.invoke("whole").content == redact(answer)
        replayed = [chunk.text for chunk in replay.stream("pieces", stop=(answer,))][:-1]
        assert "".join(replayed) == redact("".join(pieces))


def test_in_yaml_texts_of_several_lines_read_as_they_are(tmp_path):
    path = tmp_path / "calls.yaml"
    recorder = RecordingModel(MockChatModel("# Title\n\n- one: 1\n- no\n"), path)
    recorder.invoke("First line.\n  Second: line.", temperature=0.0, stop=("no", "12", "END"))
    assert (
        path.read_text()
        == """---
request:
  model: gpt-4o-mini
  messages:
    - role: user
      content: |-
        First line.
          Second: line.
  temperature: 0.0
  max_tokens: 1024
  stop:
    - "no"
    - "12"
    - END
response:
  content: |
    # Title

    - one: 1
    - no
  model: gpt-4o-mini
  usage:
    prompt_tokens: 4
    completion_tokens: 7
    total_tokens: 11
    model: gpt-4o-mini
    provider: mock
"""
    )


def test_a_line_of_json_has_its_keys_in_one_order(tmp_path):
    path = tmp_path / "calls.jsonl"
    recorder = RecordingModel(MockChatModel("one two"), path)
    list(recorder.stream([Message(role="system", content="s"), Message(role="user", content="u")]))
    [line] = path.read_text().splitlines()
    call = json.loads(line)
    assert list(call) == ["request", "chunks"]
    assert list(call["request"]) == ["model", "messages", "temperature", "max_tokens"]
    assert call["chunks"][:2] == ["one ", "two"]
    assert call["chunks"][2]["finish_reason"] == "stop"


def test_a_picture_stands_there_as_its_hash(path):
    picture = ImagePart(data=b"picture", media_type="image/png")
    record(path, MockChatModel(), lambda m: m.invoke([Message(role="user", content=(picture,))]))
    assert f"sha256:{sha256(b'picture').hexdigest()}" in path.read_text()
    assert base64.b64encode(b"picture").decode() not in path.read_text()


def test_a_picture_inside_its_address_stands_there_as_its_hash_too(path):
    inside = ImagePart(data=b"picture", media_type="image/png").as_url()

    def asked(url):
        return [Message(role="user", content=(ImagePart(url=url),))]

    record(path, MockChatModel("seen"), lambda m: m.invoke(asked(inside)), lambda m: m.invoke(asked("https://x/y.png")))
    assert base64.b64encode(b"picture").decode() not in path.read_text()
    assert "https://x/y.png" in path.read_text()
    assert ReplayModel(path).invoke(asked(inside)).content == "seen"
    with pytest.raises(ChatModelError, match="not on record"):
        ReplayModel(path).invoke(asked(ImagePart(data=b"other", media_type="image/png").as_url()))


@pytest.mark.parametrize("capabilities", [["chat"], ["chat", "json"], ["chat", "json", "json_schema"]])
def test_typed_values_replay_from_every_kind_of_model(path, capabilities):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    recorder = RecordingModel(MockChatModel(['{"n": "x"}', '{"n": 7}'], capabilities=capabilities), path)
    assert recorder.parse("A number?", schema).value == {"n": 7}
    assert ReplayModel(path).parse("A number?", schema).value == {"n": 7}


def test_a_replay_can_do_what_is_on_record(path):
    picture = Message(role="user", content=(ImagePart(data=b"picture", media_type="image/png"),))
    record(path, MockChatModel(), lambda m: m.invoke("x"))
    assert ReplayModel(path).get_model_info().capabilities == ("chat", "stream")
    record(path, MockChatModel(), lambda m: m.invoke([picture]), lambda m: m.invoke("x", tools=(Tool(name="t"),)))
    assert set(ReplayModel(path).get_model_info().capabilities) == {"chat", "stream", "tools", "images"}


def test_what_is_on_record_can_be_asked(path):
    record(path, MockChatModel(), lambda m: m.invoke("x"))
    replay = ReplayModel(path)
    assert ChatRequest(prompt="x") in replay
    assert ChatRequest(prompt="y") not in replay


def test_a_new_recorder_begins_anew_unless_told_to_append(path):
    record(path, MockChatModel("old"), lambda m: m.invoke("x"))
    record(path, MockChatModel("new"), lambda m: m.invoke("x"), lambda m: m.invoke("y"))
    assert count(path) == 2
    RecordingModel(MockChatModel("more"), path, append=True).invoke("z")
    assert count(path) == 3
    assert ReplayModel(path).invoke("x").content == "new"


def test_a_call_is_added_behind_a_line_break_that_an_editor_took_away(path):
    record(path, MockChatModel("one"), lambda m: m.invoke("x"))
    path.write_text(path.read_text().rstrip("\n"))
    RecordingModel(MockChatModel("two"), path, append=True).invoke("y")
    replay = ReplayModel(path)
    assert [replay.invoke(prompt).content for prompt in "xy"] == ["one", "two"]
    path.write_text("")
    RecordingModel(MockChatModel("two"), path, append=True).invoke("y")
    assert count(path) == 1


def test_nothing_is_asked_where_a_call_cannot_be_added_to_what_is_there(path):
    path.parent.mkdir(parents=True)
    path.write_text('{"request": half')
    asked = []
    recorder = RecordingModel(MockChatModel(lambda request: asked.append(request) or "x"), path, append=True)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="is no recorded call"):
            recorder.invoke("x")
    assert asked == []
    assert path.read_text() == '{"request": half'


def test_many_threads_write_whole_lines(path):
    recorder = RecordingModel(MockChatModel(lambda r: r.prompt * 50), path)
    recorder.batch([f"p{number}" for number in range(100)], max_concurrency=16)
    assert count(path) == 100
    replay = ReplayModel(path)
    assert all(replay.invoke(f"p{number}").content == f"p{number}" * 50 for number in range(100))
    assert "100" in replay.check_health().detail


def test_where_no_file_can_be_written_the_model_is_not_asked(tmp_path):
    asked = []
    model = MockChatModel(lambda request: asked.append(request) or "x")
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "calls.jsonl", tmp_path / ("n" * 300)):
        for way in (lambda m: m.invoke("x"), lambda m: list(m.stream("x"))):
            with pytest.raises(ConfigurationError, match="no recording can be written") as caught:
                way(RecordingModel(model, place))
            assert str(place) in caught.value.message
    assert not asked


def test_a_call_that_cannot_be_written_is_told_and_no_other_is_made():
    asked = []
    recorder = RecordingModel(MockChatModel(lambda request: asked.append(request) or "x"), "/dev/full")
    with pytest.raises(FrameworkError, match="/dev/full") as caught:
        recorder.invoke("x")
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.INVALID, False)
    assert caught.value.fields["response"].content == "x"
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ConfigurationError, match="not whole"):
        recorder.invoke("y")
    assert len(asked) == 1


FULL = """
import resource
from pathlib import Path
from chatmodels import ChatModelError, ErrorCode, FrameworkError, MockChatModel, RecordingModel, ReplayModel
from fmf_core.logs import configure_logging

configure_logging("ERROR")
path = Path(PATH)
failure = ChatModelError("slow down " * 99, op="v.c", code=ErrorCode.RATE_LIMIT)
model = MockChatModel(lambda request: failure if request.prompt == "fail" else "word " * 400)
recorder = RecordingModel(model, path)
recorder.invoke("first")
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, len(before) + 100))
try:
    WAY
except FrameworkError as error:
    print(type(error).__name__, error.code, error.fields.get("response") and error.fields["response"].content[:9])
    print(error.fields.get("usage") and error.fields["usage"].completion_tokens, len(getattr(error, "__notes__", [])))
print(path.read_bytes() == before, ReplayModel(path).invoke("first").content[:9])
try:
    recorder.invoke("third")
except FrameworkError as error:
    print("not whole" in error.message, model.call_count)
"""


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("recorder.invoke('second')", ["FrameworkError invalid word word", "400 0"]),
        ("list(recorder.stream('second'))", ["FrameworkError invalid word word", "400 0"]),
        ("recorder.invoke('fail')", ["ChatModelError rate_limit None", "None 1"]),
    ],
)
def test_a_full_disk_loses_no_paid_answer_and_spoils_no_earlier_one(path, way, told):
    path.parent.mkdir()
    code = FULL.replace("PATH", repr(str(path))).replace("WAY", way)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*told, "True word word", "True 2"]
    assert ("recording.failed" in done.stderr) is ("fail" in way)


def test_an_answer_that_is_no_json_is_kept_in_the_error(path):
    strange = ToolCall(id="1", name="t", arguments={"a": object()})
    recorder = RecordingModel(MockChatModel([strange]), path)
    with pytest.raises(FrameworkError, match="cannot be written") as caught:
        recorder.invoke("x")
    assert caught.value.fields["response"].tool_calls == (strange,)


def test_a_request_that_is_no_json_is_refused_before_it_is_asked(path):
    model = MockChatModel("a")
    recorder = RecordingModel(model, path)
    recorder.invoke("x")
    for strange in (recorder, ReplayModel(path)):
        with pytest.raises(ChatModelError, match="cannot stand in a recording") as caught:
            strange.invoke("x", extra_params={"hook": object()})
        assert (caught.value.code, caught.value.retryable) == (ErrorCode.INVALID, False)
    assert model.call_count == 1
    recorder.invoke("y")


def test_an_unmatched_prompt_shows_no_piece_of_a_secret(path):
    secret = "ProdDbPassw0rd-XYZZY-9876543210-qwertyuiop"
    add_secret(secret)
    record(path, MockChatModel("x"), lambda m: m.invoke("other"))
    with pytest.raises(ChatModelError, match="not on record") as caught:
        ReplayModel(path).invoke("p" * 185 + secret + " more")
    assert "ProdDb" not in str(caught.value)


def test_a_record_that_is_not_there(tmp_path):
    with pytest.raises(FrameworkError, match=r"nothing\.jsonl") as caught:
        ReplayModel(tmp_path / "nothing.jsonl")
    assert caught.value.code is ErrorCode.NOT_FOUND


WORDS = ["messages", "role", "content", "type", "response_format", "tools", "code", "message", "text", "usage"]
BROKEN_REQUESTS = ['{"messages": [{"content": [1]}]}', '{"response_format": 5}', '{"messages": [1]}']
BROKEN = ["{", "[]", "{}", '{"request": {}, "response": {"content": 1}}', '{"request": {}}', "7", "text"]
BROKEN_ERRORS = ["7", "{}", '{"code": "no_code", "message": "m"}', '{"code": "auth"}']


@pytest.mark.parametrize(
    "bad",
    BROKEN
    + [f'{{"request": {{}}, "error": {error}}}' for error in BROKEN_ERRORS]
    + [f'{{"request": {request}, "chunks": ["x"]}}' for request in BROKEN_REQUESTS],
)
def test_a_broken_record_names_its_line(tmp_path, bad):
    path = tmp_path / "calls.jsonl"
    record(path, MockChatModel(), lambda m: m.invoke("x"))
    with path.open("a") as file:
        file.write(bad + "\n")
    with pytest.raises(ConfigurationError, match=r"calls\.jsonl:2"):
        ReplayModel(path)
    path = tmp_path / "calls.yaml"
    path.write_text(f"---\n{bad}\n---\n")
    with pytest.raises(ConfigurationError, match=r"calls\.yaml:2"):
        ReplayModel(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(WORDS), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["request", "response", "chunks", "error", "more"]), JSON), st.text())
def test_whatever_a_record_holds_it_is_read_or_refused(tmp_path_factory, call, text):
    folder = tmp_path_factory.mktemp("tapes")
    for suffix in ("jsonl", "yaml"):
        for content in (json.dumps(call), text):
            path = folder / f"calls.{suffix}"
            path.write_text(content, encoding="utf-8", errors="backslashreplace")
            with contextlib.suppress(ConfigurationError):
                replay = ReplayModel(path)
                assert replay.get_model_info().capabilities
                with pytest.raises(FrameworkError, match="not on record"):
                    replay.invoke("something else")


@pytest.mark.parametrize("fault", ["nothing in it", "no end"])
def test_a_stream_that_was_edited_away_names_its_line(tmp_path, fault):
    path = tmp_path / "calls.jsonl"
    record(path, MockChatModel("hello"), lambda m: m.invoke("first"), lambda m: list(m.stream("x")))
    lines = path.read_text().splitlines()
    call = json.loads(lines[1])
    call["chunks"] = ["", *call["chunks"][1:]] if fault == "nothing in it" else call["chunks"][:1]
    path.write_text(f"{lines[0]}\n{json.dumps(call)}\n")
    with pytest.raises(ChatModelError, match=rf"calls\.jsonl:2 is no answer.*{fault}") as caught:
        ReplayModel(path).invoke("x")
    assert caught.value.code is ErrorCode.BAD_REPLY


def test_a_record_that_is_no_text(tmp_path):
    (tmp_path / "calls.jsonl").write_bytes(b"\xff\xfe")
    for place in (tmp_path, tmp_path / "calls.jsonl"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            ReplayModel(place)
