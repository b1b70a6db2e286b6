from __future__ import annotations

import pytest

from chatmodels import ChatModelConfig, ChatModelError, MockChatModel, ReplayModel, create_chat_model
from chatmodels.testing import ModelBudget, Recordings, RecordMode
from fmf_core.errors import Code, FrameworkError


@pytest.fixture(params=["jsonl", "yaml"])
def path(tmp_path, request):
    return tmp_path / f"calls.{request.param}"


class Counted:
    """A source of models that counts how many were made and asked."""

    def __init__(self, answer="recorded"):
        self.made = 0
        self.mock = MockChatModel(answer)

    def __call__(self):
        self.made += 1
        return self.mock


def refuse():
    raise AssertionError("a model was made")


def count(path):
    """How many calls are on record."""
    return int(ReplayModel(path).check_health().detail.split()[0])


def test_none_replays_and_makes_nothing(path):
    Recordings(path, "all").model(Counted()).invoke("x")
    model = Recordings(path, "none").model(refuse)
    assert (model.invoke("x").content, model.invoke("x").cached) == ("recorded", True)
    assert "".join(chunk.text for chunk in model.stream("x")) == "recorded"
    with pytest.raises(ChatModelError, match="'y' is not on record"):
        model.invoke("y")


def test_none_without_a_file_says_what_to_do(path):
    recordings = Recordings(path, hint="do this")
    assert not recordings.may_ask
    with pytest.raises(FrameworkError, match="does not exist") as caught:
        recordings.model(refuse)
    assert (caught.value.code, caught.value.hint) == (Code.NOT_FOUND, "do this")
    Recordings(path, "all").model(Counted()).invoke("x")
    with pytest.raises(FrameworkError) as caught:
        Recordings(path, hint="do this").model(refuse).invoke("y")
    assert caught.value.hint == "do this"


def test_once_records_where_nothing_is_yet(path):
    source = Counted()
    first = Recordings(path, "once")
    assert first.may_ask
    first.model(source).invoke("x")
    assert (source.made, source.mock.call_count) == (1, 1)
    second = Recordings(path, "once")
    assert not second.may_ask
    assert second.model(refuse).invoke("x").content == "recorded"


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.TIMEOUT, Code.RATE_LIMIT])
@pytest.mark.parametrize("mode", ["once", "new", "all"])
def test_a_failure_that_may_pass_does_not_stay_on_record(path, mode, code):
    failing = Recordings(path, mode).model(Counted(code))
    for ask in (failing.invoke, lambda prompt: list(failing.stream(prompt))):
        with pytest.raises(ChatModelError):
            ask("x")
    assert not path.exists()
    Recordings(path, mode).model(Counted()).invoke("x")
    assert Recordings(path).model(refuse).invoke("x").content == "recorded"


def test_a_call_without_a_key_is_made_again_once_there_is_one(path):
    closed = ChatModelError("no key", op="v.c", code=Code.AUTH)
    closed.was_asked = False
    with pytest.raises(ChatModelError):
        Recordings(path, "once").model(Counted(closed)).invoke("x")
    assert not path.exists()


def test_a_refusal_stays_on_record(path):
    with pytest.raises(ChatModelError):
        Recordings(path, "once").model(Counted(Code.INVALID)).invoke("x")
    with pytest.raises(ChatModelError) as caught:
        Recordings(path, "once").model(refuse).invoke("x")
    assert caught.value.code is Code.INVALID
    assert caught.value.hint.startswith(f"replayed from {path}, line ")


@pytest.mark.parametrize("mode", ["once", "new", "all"])
def test_a_call_counts_once_whatever_is_recorded(path, mode):
    if mode == "new":
        Recordings(path, "once").model("mock", responses="x").invoke("other")
    prices = {"m": {"input_per_1m": 1e6, "output_per_1m": 0}}
    with ModelBudget(None, prices=prices) as budget:
        model = Recordings(path, mode).model("mock", responses="x", model="m")
        assert not model.invoke("one").cached
        list(model.stream("two"))
    assert (budget.calls, budget.spent_usd) == (2, 2.0)


def test_new_asks_only_for_what_is_missing(path):
    Recordings(path, "once").model(Counted("old")).invoke("x")
    source = Counted("new")
    model = Recordings(path, RecordMode.NEW).model(source)
    assert model.invoke("x").content == "old"
    assert source.made == 0
    assert model.invoke("y").content == "new"
    assert "".join(chunk.text for chunk in model.stream("z")) == "new"
    assert (source.made, source.mock.call_count) == (1, 2)
    replay = Recordings(path).model(refuse)
    assert [replay.invoke(prompt).content for prompt in "xyz"] == ["old", "new", "new"]
    assert count(path) == 3
    Recordings(path.with_stem("none"), "new").model(source).invoke("x")
    assert count(path.with_stem("none")) == 1


def test_all_begins_anew(path):
    for answer in ("one", "two"):
        Recordings(path, "all").model(Counted(answer)).invoke("x")
    assert Recordings(path).model(refuse).invoke("x").content == "two"
    assert count(path) == 1


@pytest.mark.parametrize("mode", ["once", "all", "new"])
def test_several_models_share_one_file(path, mode):
    recordings = Recordings(path, mode)
    for model, name in [(recordings.model(Counted(name)), name) for name in ("a", "b", "c")]:
        model.invoke(name)
        model.invoke("same")
    assert count(path) == 6
    replayed = Recordings(path)
    models = [replayed.model(refuse) for _ in range(3)]
    assert [model.invoke("same").content for model in models] == ["a", "b", "c"]


def test_settings_are_part_of_what_is_on_record(path):
    settings = {"model": "gpt-4o", "temperature": 0.0, "max_tokens": 50}
    assert Recordings(path, "once").model("mock", responses="hi", **settings).invoke("x").model == "gpt-4o"
    response = Recordings(path).model("mock", responses="other", **settings).invoke("x")
    assert (response.content, response.model, response.cost_usd) == ("hi", "gpt-4o", 0.0)
    config = ChatModelConfig(provider="mock", **settings)
    assert Recordings(path).model(config).invoke("x").content == "hi"
    with pytest.raises(ChatModelError, match=r"\n-temperature: 0.0\n\+temperature: 0.5\n"):
        Recordings(path).model("mock", **{**settings, "temperature": 0.5}).invoke("x")


def test_a_replay_needs_neither_key_nor_address(path):
    Recordings(path, "once").model(create_chat_model("mock", responses="hi")).invoke("x", model="gpt-4o-mini")
    assert Recordings(path).model("openai", model="gpt-4o-mini").invoke("x").content == "hi"


def test_a_ready_model_is_a_source(path):
    mock = MockChatModel("ready")
    Recordings(path, "once").model(mock).invoke("x")
    assert Recordings(path).model(mock).invoke("x").content == "ready"
    assert mock.call_count == 1


def test_what_a_ready_model_fills_in_is_part_of_what_is_on_record(path):
    def model(temperature):
        return create_chat_model("mock", responses=f"at {temperature}", temperature=temperature)

    Recordings(path, "once").model(model(0.0)).invoke("x")
    assert Recordings(path).model(model(0.0)).invoke("x").content == "at 0.0"
    with pytest.raises(ChatModelError, match="not on record"):
        Recordings(path).model(model(0.5)).invoke("x")
    assert Recordings(path, "new").model(model(0.5)).invoke("x").content == "at 0.5"


def test_an_unknown_mode_is_refused(path):
    with pytest.raises(ValueError, match="sometimes"):
        Recordings(path, "sometimes")
