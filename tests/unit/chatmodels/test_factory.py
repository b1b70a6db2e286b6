from __future__ import annotations

import subprocess
import sys
import textwrap
import traceback

import pytest
from pydantic import SecretStr

from chatmodels import (
    ChatModelConfig,
    ChatModelError,
    ErrorCode,
    MockChatModel,
    Price,
    RateLimit,
    RecordingModel,
    ReplayModel,
    RetryPolicy,
    create_chat_model,
    register_chat_model,
)
from chatmodels.factory import wrap
from chatmodels.registry import models
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.budgeted import BudgetedModel
from chatmodels.wrappers.checked import CheckedModel
from chatmodels.wrappers.limiting import LimitingModel
from chatmodels.wrappers.measured import MeasuredModel
from chatmodels.wrappers.retrying import RetryingModel
from chatmodels.wrappers.timed import TimedModel
from chatmodels.wrappers.translating import TranslatingModel
from fmf_core.errors import ConfigurationError, PluginError


@pytest.fixture(autouse=True)
def clean():
    yield
    models.clear()


def layers(model):
    found = []
    while isinstance(model, WrappedModel):
        found.append(type(model))
        model = model.inner
    return found


class Vendor(MockChatModel):
    """Takes what a vendor takes."""

    last = None

    def __init__(self, *, model=None, api_key=None, base_url=None, timeout_s=None, region="eu"):
        super().__init__()
        type(self).last = {
            "model": model,
            "api_key": api_key,
            "base_url": base_url,
            "timeout_s": timeout_s,
            "region": region,
        }


class TestOrder:
    def test_measure_limit_retry_vendor(self):
        model = create_chat_model("mock", rate_limit={"requests_per_minute": 600})
        order = layers(model)
        assert order[-6:] == [
            MeasuredModel, CheckedModel, LimitingModel, RetryingModel, BudgetedModel, TranslatingModel,
        ]  # fmt: skip
        assert isinstance(model.unwrapped, MockChatModel)

    def test_without_a_limit_nothing_limits(self):
        for limit in ({}, None, RateLimit(), {"requests_per_minute": None}):
            assert LimitingModel not in layers(create_chat_model("mock", rate_limit=limit))

    def test_wrapping_twice_is_wrapping_once(self):
        once = wrap(MockChatModel(), ChatModelConfig(provider="mock"))
        assert wrap(once, ChatModelConfig(provider="mock", temperature=1.0)) is once

    def test_a_recorder_stays_outside(self, tmp_path):
        recorder = RecordingModel(MockChatModel(), tmp_path / "calls.jsonl")
        model = wrap(recorder, ChatModelConfig(provider="mock", temperature=0.0))
        assert isinstance(model, RecordingModel)
        model.invoke("x")
        assert model.call_log[0].temperature == 0.0
        replay = wrap(ReplayModel(tmp_path / "calls.jsonl"), ChatModelConfig(temperature=1.0, model="other"))
        assert replay.invoke("x").content == "Mock response"
        assert replay.invoke("x").cost_usd == 0.0


class TestSettings:
    @pytest.mark.parametrize("value", [0.0, 1.5, None])
    def test_sampling_defaults_reach_the_vendor(self, value):
        model = create_chat_model("mock", temperature=value)
        model.invoke("x")
        assert model.call_log[0].temperature == value

    def test_all_sampling_defaults(self):
        model = create_chat_model("mock", model="m-1", temperature=0.0, max_tokens=5, seed=7)
        list(model.stream("x"))
        request = model.call_log[0]
        assert (request.model, request.temperature, request.max_tokens, request.seed) == ("m-1", 0.0, 5, 7)

    def test_what_the_request_says_wins(self):
        model = create_chat_model("mock", temperature=0.0, model="m-1")
        model.invoke("x", temperature=0.3, model="m-2")
        assert (model.call_log[0].temperature, model.call_log[0].model) == (0.3, "m-2")

    def test_without_a_model_the_providers_default_is_asked(self):
        assert create_chat_model("mock").invoke("x").model == "mock"

    @pytest.mark.parametrize(
        ("retry", "attempts"),
        [({"max_attempts": 2, "first_wait_s": 0}, 2), (RetryPolicy(max_attempts=4, first_wait_s=0), 4), (None, 1)],
    )
    def test_retry(self, retry, attempts):
        model = create_chat_model(
            "mock", retry=retry, fail_with=ChatModelError("x", op="o", code=ErrorCode.UNAVAILABLE)
        )
        with pytest.raises(ChatModelError):
            model.invoke("x")
        assert model.call_count == attempts

    @pytest.mark.parametrize(
        "price", [{"input_per_1m": 1.0, "output_per_1m": 2.0}, Price(input_per_1m=1.0, output_per_1m=2.0)]
    )
    def test_prices(self, price):
        model = create_chat_model("mock", responses="a", model="own", prices={"own": price})
        assert model.invoke("x").cost_usd == pytest.approx(3e-6)

    def test_a_config_may_be_given_whole_with_settings_on_top(self):
        config = ChatModelConfig(provider="mock", model="a", temperature=0.0, options={"responses": "hi"})
        model = create_chat_model(config, model="b")
        assert (model.invoke("x").content, model.call_log[0].model, model.call_log[0].temperature) == ("hi", "b", 0.0)

    def test_a_constructor_gets_what_it_takes(self):
        register_chat_model("vendor", Vendor)
        create_chat_model("vendor", api_key="k-123456", base_url="http://127.0.0.1:1/v1", timeout_s=3, region="us")
        assert Vendor.last["api_key"].get_secret_value() == "k-123456"
        assert isinstance(Vendor.last["api_key"], SecretStr)
        assert (Vendor.last["base_url"], Vendor.last["timeout_s"]) == ("http://127.0.0.1:1/v1", 3.0)
        assert (Vendor.last["region"], Vendor.last["model"]) == ("us", None)

    def test_a_timeout_is_kept_for_models_that_keep_none(self):
        quick = create_chat_model("mock", latency_s=5, timeout_s=0.01, retry=None)
        with pytest.raises(ChatModelError, match=r"within 0\.01 s") as caught:
            quick.invoke("x")
        assert caught.value.code is ErrorCode.TIMEOUT

    def test_a_model_that_keeps_its_time_is_left_to_it(self):
        class Punctual(MockChatModel):
            def __init__(self, *, timeout_s=1.0):
                super().__init__()
                self.timeout_s = timeout_s

        register_chat_model("punctual", Punctual)
        assert TimedModel not in layers(create_chat_model("punctual", timeout_s=3))
        assert create_chat_model("punctual", timeout_s=3).timeout_s == 3.0
        assert create_chat_model("punctual").timeout_s == 1.0

    def test_a_factory_function_may_take_everything(self):
        given = {}

        def make(**settings):
            given.update(settings)
            return MockChatModel()

        register_chat_model("made", make)
        create_chat_model("made", anything=1)
        assert given == {"anything": 1}


class TestFaults:
    def test_an_unknown_setting_is_named_with_the_nearest_and_the_allowed(self):
        with pytest.raises(ConfigurationError, match="temprature") as caught:
            create_chat_model("mock", temprature=0.5)
        assert "'temperature'" in caught.value.hint
        assert "latency_s" in caught.value.hint

    def test_an_unknown_setting_of_a_vendor(self):
        register_chat_model("vendor", Vendor)
        with pytest.raises(ConfigurationError, match="'regoin'") as caught:
            create_chat_model("vendor", regoin="eu")
        assert "did you mean 'region'" in caught.value.hint

    def test_an_instance_takes_no_settings_of_its_own(self):
        register_chat_model("ready", MockChatModel())
        with pytest.raises(ConfigurationError, match="latency_s"):
            create_chat_model("ready", latency_s=1)

    def test_all_wrong_values_are_told_at_once(self):
        with pytest.raises(ConfigurationError) as caught:
            create_chat_model("mock", temperature=3, max_tokens=0, retry={"max_attempt": 2})
        text = str(caught.value)
        assert all(part in text for part in ("temperature", "max_tokens", "retry.max_attempt", "max_attempts"))

    @pytest.mark.parametrize("options", [None, 5, ["latency_s"]])
    def test_options_are_a_mapping(self, options):
        with pytest.raises(ConfigurationError, match=r"options.*mapping"):
            create_chat_model("mock", options=options)

    def test_a_key_is_never_shown(self):
        with pytest.raises(ConfigurationError) as caught:
            create_chat_model("mock", api_key=["very-secret-key"], temperature=9)
        assert "very-secret-key" not in str(caught.value)

    @pytest.mark.parametrize("failure", [RuntimeError("boom"), SystemExit(2), TypeError("no")])
    def test_a_plugin_that_fails_to_be_made(self, failure):
        def make():
            raise failure

        register_chat_model("broken", make)
        with pytest.raises(PluginError, match="broken") as caught:
            create_chat_model("broken")
        assert caught.value.__cause__ is failure

    def test_a_plugin_that_makes_something_else(self):
        register_chat_model("odd", lambda: "model")
        with pytest.raises(PluginError, match="returned str"):
            create_chat_model("odd")


def run(code):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()


PLUGIN = """
    import asyncio, gc, time
    from chatmodels import *
    class Plugin(MockChatModel):
        def __init__(self, name="plugin"):
            super().__init__()
            self.name = name
        async def cleanup(self):
            await asyncio.sleep(0)
            print(f"cleaned {self.name}\\n", end="", flush=True)
"""


class TestCleanup:
    def test_it_has_run_by_the_end_of_the_process(self):
        out = run(
            PLUGIN
            + """
    register_chat_model("class", Plugin)
    register_chat_model("instance", Plugin("instance"))
    kept = create_chat_model("class", name="kept")
    def use():
        create_chat_model("class", name="dropped").invoke("x")
        create_chat_model("instance").invoke("x")
    use()
    """
        )
        assert sorted(out) == ["cleaned dropped", "cleaned instance", "cleaned kept"]

    def test_models_that_were_dropped_are_not_kept_for_ever(self):
        out = run(
            PLUGIN
            + """
    register_chat_model("class", Plugin)
    create_chat_model("class", name="first")
    gc.collect()
    kept = create_chat_model("class", name="second")
    time.sleep(1.5)
    print("end", flush=True)
    """
        )
        assert out == ["cleaned first", "end", "cleaned second"]

    def test_one_failure_does_not_concern_the_others(self):
        out = run(
            PLUGIN
            + """
    class Broken(Plugin):
        async def cleanup(self):
            raise RuntimeError("boom")
    register_chat_model("broken", Broken)
    register_chat_model("class", Plugin)
    models = [create_chat_model("broken"), create_chat_model("class"), create_chat_model("broken")]
    """
        )
        assert out == ["cleaned plugin"]


class TestNamelessModel:
    """A provider whose model nobody named goes by the provider's own name."""

    class Asked(MockChatModel):
        pass

    def seen(self, provider="mine", **options):
        model = create_chat_model(provider)
        model.invoke("x", **options)
        return model.unwrapped.last_request

    def test_the_request_names_the_provider(self):
        register_chat_model("mine", self.Asked)
        assert self.seen().model == "mine"
        assert "model" not in self.seen().model_fields_set
        assert self.seen(model="m-1").model == "m-1"

    def test_no_foreign_price_shows(self):
        register_chat_model("mine", self.Asked)
        answer = create_chat_model("mine").invoke("x")
        assert (answer.model, answer.cost_usd) == ("mine", None)

    def test_streams_do_so_too(self):
        register_chat_model("mine", self.Asked())
        model = create_chat_model("mine")
        list(model.stream("x"))
        assert model.unwrapped.last_request.model == "mine"

    def test_a_model_with_a_name_of_its_own_goes_by_that(self):
        register_chat_model("mine", lambda: MockChatModel(model="large"))
        assert create_chat_model("mine").invoke("x").model == "large"

    def test_a_default_model_comes_first(self):
        register_chat_model("mine", self.Asked, metadata={"default_model": "small"})
        assert self.seen().model == "small"


def test_a_seed_goes_only_to_constructors_that_ask_for_it():
    seen = []

    def takes_all(**settings):
        seen.append(settings)
        return MockChatModel()

    register_chat_model("all", takes_all)
    model = create_chat_model("all", seed=3)
    model.invoke("x")
    assert seen == [{}]
    assert model.unwrapped.last_request.seed == 3


class BlockingCache:
    def get(self, key):
        return None

    def put(self, key, response):
        pass


class HalfBlockingCache(BlockingCache):
    async def get(self, key):
        return None


@pytest.mark.parametrize("cache", [BlockingCache(), HalfBlockingCache()])
def test_a_cache_that_blocks_is_refused(cache):
    with pytest.raises(ConfigurationError, match=r"cache: .*async def"):
        create_chat_model("mock", cache=cache)


LEAKED = "Pa55-word-1234"


class Leaky(MockChatModel):
    """Tells its key in every exception."""

    def __init__(self, *, api_key=None, fails=False):
        super().__init__()
        self.key = api_key.get_secret_value()
        if fails:
            raise ValueError(f"not with {self.key}")

    async def complete_async(self, request):
        raise ValueError(f"{request.model} refused {self.key}")


@pytest.mark.parametrize("fails", [False, True])
def test_a_plugin_that_tells_its_key_tells_it_to_nobody(fails):
    register_chat_model("leaky", Leaky)
    with pytest.raises((PluginError, ChatModelError)) as caught:
        create_chat_model("leaky", api_key=LEAKED, fails=fails, retry=None).invoke("x")
    shown = "".join(traceback.format_exception(caught.value))
    assert LEAKED not in shown + str(caught.value)
    assert "ValueError" in shown


def test_a_configuration_shows_no_secret():
    config = ChatModelConfig(
        base_url="https://user:Pa55-word@host/v1?code=Pa55-word",
        api_key="Pa55-word",
        fallbacks=[{"api_key": "Pa55-word"}],
        options={
            "aws_secret_access_key": "Pa55-word",
            "default_headers": {"x-gateway": "Pa55-word"},
            "endpoint": "https://user:Pa55-word@host",
            "region": "eu-west-1",
        },
    )
    assert "Pa55" not in repr(config) + str(config)
    assert "eu-west-1" in repr(config)
    assert "https://host/v1" in repr(config)


def test_what_is_no_fallback_is_told_without_its_secrets():
    with pytest.raises(ConfigurationError, match="no fallback") as caught:
        create_chat_model("mock", fallbacks=[[{"api_key": "Pa55-word"}]])
    assert "Pa55" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": ""},
        {"model": " "},
        {"base_url": ""},
        {"cache": ""},
        {"cache": ":memory:"},
        {"cache": "redis://host/0"},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
        {"concurrency": {"max_wait_s": float("inf")}},
    ],
)
def test_a_value_that_means_nothing_is_refused_when_the_model_is_made(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        create_chat_model("openai", api_key="key-of-nobody", **settings)
    assert not list(tmp_path.iterdir())


def test_a_request_names_a_model():
    with pytest.raises(ConfigurationError, match="model"):
        create_chat_model("mock").invoke("x", model="")
