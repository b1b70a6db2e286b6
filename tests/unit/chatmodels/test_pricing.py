from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from chatmodels import Price, TokenUsage, cost_of, pricing
from chatmodels.pricing import cost_of_answer, list_price, prices_as_of, table
from chatmodels.spending import Budget


def usage(model, prompt=1_000_000, completion=1_000_000, provider="openai", **more):
    return TokenUsage(prompt_tokens=prompt, completion_tokens=completion, model=model, provider=provider, **more)


def test_a_known_model():
    assert cost_of(usage("gpt-4o-mini")) == pytest.approx(0.75)
    assert cost_of(usage("gpt-4o-mini", prompt=1000, completion=0)) == pytest.approx(0.00015)


def test_a_dated_snapshot_costs_what_its_model_costs():
    assert cost_of(usage("gpt-4o-mini-2024-07-18")) == cost_of(usage("gpt-4o-mini"))
    assert cost_of(usage("claude-3-5-sonnet-20241022")) == cost_of(usage("claude-3-5-sonnet"))


def test_a_snapshot_may_have_a_price_of_its_own():
    assert cost_of(usage("gpt-4o-2024-05-13")) == pytest.approx(20.0)


@pytest.mark.parametrize(
    "model",
    ["gpt-4o-audio-preview", "gpt-4o-minimal", "gpt-4o-mini-tts", "my-gpt-4o", "gpt", "gpt-4-1106-preview", "mixed"],
)
def test_a_similar_name_is_no_match(model):
    assert cost_of(usage(model)) is None


def test_no_model_is_priced_as_another():
    assert cost_of(usage("gpt-4o")) != cost_of(usage("gpt-4o-mini"))


def test_tokens_from_the_cache_are_cheaper():
    assert cost_of(usage("gpt-4o", completion=0, cached_tokens=400_000)) == pytest.approx(0.6 * 2.5 + 0.4 * 1.25)
    assert cost_of(usage("gpt-4", completion=0, cached_tokens=400_000)) == pytest.approx(30.0)


def test_unknown_is_not_free():
    assert cost_of(usage("someones-model", provider="someone")) is None
    assert cost_of(usage("mock", provider="mock")) is None


def test_the_embedded_engine_is_free():
    assert cost_of(usage("smollm2-135m-instruct", provider="local")) == 0.0


def test_given_prices_come_first():
    prices = {
        "own": {"input_per_1m": 1, "output_per_1m": 2},
        "gpt-4o": Price(input_per_1m=10, output_per_1m=20, cached_input_per_1m=5),
        "free": {"input_per_1m": 0, "output_per_1m": 0},
    }
    assert cost_of(usage("own"), prices) == 3.0
    assert cost_of(usage("gpt-4o-2024-08-06"), prices) == 30.0
    assert cost_of(usage("free"), prices) == 0.0
    assert cost_of(usage("gpt-4o-mini"), prices) == pytest.approx(0.75)
    assert cost_of(usage("own", provider="local"), prices) == 3.0


def test_a_wrong_price_is_refused():
    with pytest.raises(ValidationError):
        cost_of(usage("own"), {"own": {"input_per_1m": -1, "output_per_1m": 2}})


def bedrock(model, prompt=1_000_000, completion=1_000_000, **more):
    return usage(model, prompt, completion, provider="aws_bedrock", **more)


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("amazon.nova-pro-v1:0", 4.0),
        ("us.amazon.nova-pro-v1:0", 4.0),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0", 4.0),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", 4.0),
        ("anthropic.claude-3-haiku-20240307-v1:0", 1.5),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", 18.0),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", 6.0),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", 6.6),
        ("meta.llama3-3-70b-instruct-v1:0", 1.44),
        ("us.meta.llama4-scout-17b-instruct-v1:0", 0.83),
        ("mistral.mistral-7b-instruct-v0:2", 0.35),
        ("mistral.mistral-large-2402-v1:0", 16.0),
    ],
)
def test_ids_of_bedrock(model, cost):
    assert cost_of(bedrock(model)) == pytest.approx(cost)


@pytest.mark.parametrize(
    "model",
    [
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123",
        "amazon.nova-prox-v1:0",
        "us.us.amazon.nova-pro-v1:0",
        "gpt-4o",
        "claude-3-haiku-20240307",
    ],
)
def test_other_ids_of_bedrock_have_no_known_price(model):
    assert cost_of(bedrock(model)) is None


def test_bedrock_ids_are_priced_on_bedrock_alone():
    assert cost_of(usage("amazon.nova-pro-v1:0")) is None


def test_azure_is_priced_by_the_model_of_the_reply():
    assert cost_of(usage("gpt-4o-mini-2024-07-18", provider="azure_openai")) == pytest.approx(0.75)
    assert cost_of(usage("my-deployment", provider="azure_openai")) is None
    given = {"my-deployment": {"input_per_1m": 1, "output_per_1m": 1}}
    assert cost_of(usage("my-deployment", provider="azure_openai"), given) == 2.0


def test_tokens_written_to_a_cache_have_their_price():
    used = usage("claude-sonnet-4", prompt=100_000, completion=0, cached_tokens=60_000, cache_write_tokens=30_000)
    assert cost_of(used) == pytest.approx(0.01 * 3 + 0.06 * 0.3 + 0.03 * 3.75)
    used = usage("gpt-4o", completion=0, cached_tokens=400_000, cache_write_tokens=900_000)
    assert cost_of(used) == pytest.approx(0.6 * 2.5 + 0.4 * 1.25), "no token is paid twice"


def test_thinking_costs_what_answers_cost_unless_it_has_its_price():
    thought = usage("o3", prompt=0, reasoning_tokens=900_000)
    assert cost_of(thought) == pytest.approx(8.0)
    given = {"o3": Price(input_per_1m=0, output_per_1m=8, reasoning_per_1m=2)}
    assert cost_of(thought, given) == pytest.approx(0.1 * 8 + 0.9 * 2)


def test_a_prompt_longer_than_the_price_holds_for_has_no_known_price():
    assert cost_of(usage("claude-sonnet-4-5-20250929", prompt=200_000, completion=0)) == pytest.approx(0.6)
    assert cost_of(usage("claude-sonnet-4-5-20250929", prompt=200_001, completion=0)) is None


def test_every_row_is_dated_and_sane():
    for name, seller in table().items():
        assert "2025-01-01" < seller.as_of < "2100-01-01"
        assert seller.source.startswith("https://")
        for model, row in seller.models.items():
            known = {"input", "output", "cached_input", "cache_write", "reasoning", "up_to", "regional"}
            assert set(row) <= known, model
            assert 0 < row["input"] <= row["output"], model
            assert row.get("cached_input", 0) < row["input"] <= row.get("cache_write", row["input"]), model
            listed = list_price(model, name)
            assert (listed.as_of, listed.source) == (seller.as_of, seller.source)
            assert cost_of(usage(model, prompt=1000, provider=name)) > 0


def test_how_old_prices_are_can_be_asked():
    assert prices_as_of("azure_openai") == prices_as_of("openai") == table()["openai"].as_of
    assert prices_as_of("mock") is None


def test_a_free_model_reads_no_table():
    code = "import sys; from chatmodels import TokenUsage, cost_of; "
    code += "cost_of(TokenUsage(prompt_tokens=1, completion_tokens=1, model='m', provider='local')); "
    code += "assert 'tomllib' not in sys.modules"
    # Measuring coverage reads TOML as well.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environ)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_price_that_cannot_be_read_is_unknown_and_asked_for_again():
    code = """
import os, resource
from chatmodels import TokenUsage, cost_of
usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model='gpt-4o', provider='openai')
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
print(cost_of(usage))
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(cost_of(usage) > 0)
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environ)
    assert (done.stdout.split(), done.stderr) == (["None", "True"], "")


@pytest.mark.parametrize("count", [10**400, 10**300])
def test_a_count_beyond_reckoning_has_no_price(count):
    prices = {"m": {"input_per_1m": 1e300, "output_per_1m": 1}}
    assert cost_of(usage("m", prompt=count), prices) is None


@pytest.mark.parametrize("field", Price.model_fields)
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1])
def test_no_price_is_without_end(field, value):
    with pytest.raises(ValidationError):
        Price(**{"input_per_1m": 1, "output_per_1m": 1, field: value})


def test_what_an_answer_cost():
    usage = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, model="gpt-4o-mini", provider="openai")
    assert cost_of_answer(usage) == pytest.approx(0.15)
    assert cost_of_answer(usage, told=2.0) == 2.0
    assert cost_of_answer(usage, told=0.0) == 0.0
    assert cost_of_answer(usage, told=2.0, cached=True) == 0.0
    assert cost_of_answer(usage, failed=(usage, usage)) == pytest.approx(0.45)
    assert cost_of_answer(usage, failed=(usage,), cached=True) == pytest.approx(0.15)
    assert cost_of_answer(usage, failed=(usage.model_copy(update={"model": "unknown"}),)) is None
    assert cost_of_answer(None) is None
    assert cost_of_answer(None, told=2.0) == 2.0


class TestOldPrices:
    """Whoever keeps to a budget by a list price is told, once, that it is old."""

    @pytest.fixture(autouse=True)
    def _unheard(self, monkeypatch):
        monkeypatch.setattr(pricing._Old, "told", False)

    @pytest.fixture
    def lines(self, caplog):
        caplog.set_level("WARNING", logger="chatmodels")
        return lambda: [record for record in caplog.records if "prices.old" in record.getMessage()]

    def spend(self, model="gpt-4o-mini", days=181, limit_usd=1.0, told=None, **more):
        as_of = date.fromisoformat(prices_as_of("openai"))
        budget = Budget(limit_usd, today=lambda: as_of + timedelta(days=days), **more)
        budget.count(usage(model, 1000, 0), told)
        return budget

    def test_one_line_a_process(self, lines):
        for _ in range(2):
            self.spend()
            self.spend("gpt-4o")
        (line,) = lines()
        assert "gpt-4o-mini" in line.getMessage()
        assert prices_as_of("openai") in line.getMessage()

    def test_a_cost_that_the_call_itself_told_counts_too(self, lines):
        self.spend(told=cost_of(usage("gpt-4o-mini", 1000, 0)))
        assert len(lines()) == 1

    @pytest.mark.parametrize(
        "given",
        [
            {"days": 180},
            {"limit_usd": None},
            {"prices": {"gpt-4o-mini": {"input_per_1m": 1, "output_per_1m": 1}}},
            {"told": 0.5},
            {"told": 0.0},
            {"model": "of nobody"},
        ],
    )
    def test_silent_where_nothing_is_promised_or_the_price_is_somebody_elses(self, lines, given):
        self.spend(**given)
        assert lines() == []
