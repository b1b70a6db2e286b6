from __future__ import annotations

import copy
import pickle

import pytest

from fmf_core.errors import (
    Code,
    ConfigurationError,
    FrameworkError,
    PluginError,
    PluginNotFoundError,
    PluginRegistrationError,
    chain_of,
)


def test_text_has_where_what_kind_and_what_next():
    error = FrameworkError("model 'x' is unknown", op="openai.complete", code=Code.NOT_FOUND, hint="use y")
    assert str(error) == "openai.complete: model 'x' is unknown [not_found] Hint: use y"
    assert str(FrameworkError("plain")) == "plain [internal]"


@pytest.mark.parametrize("code", list(Code))
def test_the_code_decides_about_retries(code):
    assert FrameworkError("x", code=code).retryable == (code in {Code.RATE_LIMIT, Code.TIMEOUT, Code.UNAVAILABLE})


def test_a_code_may_be_given_as_text():
    assert FrameworkError("x", code="timeout").code is Code.TIMEOUT  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="never heard"):
        FrameworkError("x", code="never heard")  # type: ignore[arg-type]


class Special(FrameworkError):
    default_code = Code.REFUSED

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} {second}", retry_after=2.5, fields={"first": first})
        self.second = second


@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_errors_survive_copies_whatever_their_constructor(copied):
    error = copied(Special(1, 2))
    assert type(error) is Special
    assert (str(error), error.retry_after, error.fields, error.second) == ("1 2 [refused]", 2.5, {"first": 1}, 2)


def test_fields_are_the_errors_own():
    fields = {"a": 1}
    error = FrameworkError("x", fields=fields)
    error.fields["b"] = 2
    assert fields == {"a": 1}


def test_families():
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(PluginNotFoundError, (PluginError, ConfigurationError))
    assert PluginNotFoundError("x").code is Code.NOT_FOUND
    assert PluginRegistrationError("x").code is Code.CONFLICT


def test_a_chain_in_a_circle_ends():
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert list(chain_of(one)) == [one, two]
