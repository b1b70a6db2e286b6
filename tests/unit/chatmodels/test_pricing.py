from __future__ import annotations

import pytest
from pydantic import ValidationError

from chatmodels import Price, TokenUsage, cost_of
from chatmodels.pricing import PRICES_AS_OF, TABLE


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


def test_the_table_is_dated_and_sane():
    year, month = PRICES_AS_OF.split("-")
    assert int(year) >= 2025
    assert 1 <= int(month) <= 12
    for prompt, answer, cached in TABLE.values():
        assert 0 < prompt < answer
        assert cached is None or cached < prompt
