from __future__ import annotations

import io
import types

import pytest

from chatmodels.providers.mock import MockChatModel
from chatmodels.registry import models
from chatmodels.types import ChatChunk, ChatResponse, ToolCall
from fmf.auth.base import build_secrets
from fmf.chains.single import question, read_text
from fmf.errors import ConfigError, ProcessingError, PromptError

PROMPT = """
id: sum
versions:
  - version: v1
    template: 'Sum {{ text }} for {{ who }}'
    system: 'Kind to {{ who }}'
    inputs: {required: [text, who]}
    examples:
      - {input: {text: long, who: me}, output: short}
"""


@pytest.fixture
def asked(project):
    mock = MockChatModel("an answer")
    models.add("scripted", mock)
    work = project()
    work.config["inference"]["provider"] = "scripted"
    work.write("prompts/sum.yaml", PROMPT)

    def ask(prompt, values):
        loaded = work.loaded()
        return question(loaded, build_secrets(loaded.value.auth, loaded.root), prompt, values)

    ask.mock = mock
    ask.work = work
    yield ask
    models.remove("scripted")


def test_the_prompt_is_filled_and_sent_with_its_turns(asked):
    response = asked("sum#v1", {"text": "this {{ who }}", "who": "you"}).ask()
    assert response.content == "an answer"
    request = asked.mock.call_log[0]
    assert [(message.role, message.content) for message in request.messages] == [
        ("system", "Kind to you"),
        ("user", "Sum long for me"),
        ("assistant", "short"),
        ("user", "Sum this {{ who }} for you"),
    ]


def test_the_configured_system_prompt_is_the_last_resort(asked):
    asked.work.config["inference"]["system_prompt"] = "be brief"
    asked("inline: {{ text }}", {"text": "x"}).ask()
    assert asked.mock.call_log[0].system_prompt == "be brief"


def test_a_stream_ends_with_the_whole(asked):
    *pieces, whole = asked("inline: {{ text }}", {"text": "x"}).stream()
    assert pieces == ["an ", "answer"]
    assert isinstance(whole, ChatResponse)
    assert (whole.content, whole.usage.completion_tokens, whole.finish_reason) == ("an answer", 2, "stop")


def test_the_whole_of_a_stream_says_where_it_came_from(asked):
    end = {
        "cached": True,
        "fell_back_from": ("first/model: timeout",),
        "attempts": 3,
        "response_id": "r-1",
        "tool_calls": (ToolCall(id="1", name="t"),),
    }

    class Telling(MockChatModel):
        async def stream_async(self, request):
            async for chunk in super().stream_async(request):
                yield chunk.model_copy(update=end) if chunk.usage else chunk

    models.add("scripted", Telling("an answer"), replace=True)
    *_, whole = asked("inline: {{ text }}", {"text": "x"}).stream()
    assert {name: getattr(whole, name) for name in end} == end
    assert whole.cost_usd == 0.0


def test_a_stream_that_tells_no_end_is_shown_and_has_no_known_cost(asked):
    class Bare(MockChatModel):
        async def stream_async(self, _):
            yield ChatChunk(text="half")

    models.add("scripted", Bare(), replace=True)
    *pieces, whole = asked("inline: {{ text }}", {"text": "x"}).stream()
    assert (pieces, whole.content, whole.finish_reason) == (["half"], "half", "stop")
    assert (whole.usage.total_tokens, whole.usage.estimated, whole.cost_usd) == (0, True, None)


def test_what_is_missing_is_named(asked):
    with pytest.raises(ConfigError, match=r"'sum#v1' needs 'who'.*provided: text") as caught:
        asked("sum#v1", {"text": "x"})
    assert "--var who=" in caught.value.hint
    with pytest.raises(ConfigError, match="provided: nothing"):
        asked("sum#v1", {})
    with pytest.raises(ConfigError, match="came out empty"):
        asked("inline: {{ text }}", {"text": "  "})
    with pytest.raises(PromptError):
        asked("nope#v1", {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_text_encoding_is_read(tmp_path, encoding):
    text = "Über die Größe der Gärten: schön, früh, grün.\nZweite Zeile."
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert read_text(str(tmp_path / "a.txt"), 10) == text


def test_stdin_is_read(monkeypatch):
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO("grün".encode())))
    assert read_text("-", 10) == "grün"


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x00\x01\x02")
    with pytest.raises(ProcessingError):
        read_text(str(tmp_path / "binary"), 10)
    with pytest.raises(ConfigError, match="cannot be opened: No such"):
        read_text(str(tmp_path / "none"), 10)
    with pytest.raises(ConfigError, match="cannot be opened"):
        read_text(str(tmp_path), 10)
