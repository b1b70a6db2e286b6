from __future__ import annotations

import pickle

import pytest

from chatmodels import ChatModelError, ErrorCode, ProviderAuthError
from chatmodels.errors import (
    chat_model_error,
    code_of,
    is_auth_error,
    is_invalid_request_error,
    is_quota_error,
    is_rate_limit_error,
    is_retryable,
    is_timeout_error,
    server_is_well,
    was_asked,
)
from fmf_core.errors import FrameworkError
from fmf_core.redact import add_secret

KEY = "sk-proj-" + "a1B2c3D4" * 6


def test_the_code_decides_about_retries():
    assert ChatModelError("x", op="o", code=ErrorCode.RATE_LIMIT).retryable
    assert not ChatModelError("x", op="o", code=ErrorCode.AUTH).retryable


@pytest.mark.parametrize(
    "name", ["RATE_LIMIT", "TIMEOUT", "AUTH", "INVALID", "NOT_FOUND", "UNAVAILABLE", "CANCELLED", "INTERNAL"]
)
def test_error_codes_have_names(name):
    assert ErrorCode[name]


def test_auth_failures_have_a_class_of_their_own():
    error = chat_model_error("no", op="o", code=ErrorCode.AUTH)
    assert isinstance(error, ProviderAuthError)
    assert ProviderAuthError("no").code is ErrorCode.AUTH


def test_secrets_in_vendor_texts_are_blanked():
    error = chat_model_error(
        f"Incorrect API key provided: {KEY}", op="x.y", code=ErrorCode.AUTH, fields={"provider": "x"}
    )
    assert KEY not in str(error)
    assert error.fields == {"provider": "x"}


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(ChatModelError("m", op="o", code=ErrorCode.TIMEOUT, fields={"a": 1})))
    assert (error.message, error.op, error.code, error.fields) == ("m", "o", ErrorCode.TIMEOUT, {"a": 1})


def test_secrets_are_blanked_however_the_error_is_made():
    add_secret("correct-horse-battery-staple")
    error = ChatModelError("it is correct-horse-battery-staple", op="x", code=ErrorCode.INVALID)
    assert "horse" not in str(error) + repr(error) + error.message


PREDICATES = {
    ErrorCode.RATE_LIMIT: {is_rate_limit_error, is_retryable},
    ErrorCode.TIMEOUT: {is_timeout_error, is_retryable},
    ErrorCode.UNAVAILABLE: {is_retryable},
    ErrorCode.AUTH: {is_auth_error},
    ErrorCode.BUDGET: {is_quota_error},
    ErrorCode.INVALID: {is_invalid_request_error},
    ErrorCode.UNSUPPORTED: {is_invalid_request_error},
}
ASKED = (
    is_rate_limit_error,
    is_retryable,
    is_timeout_error,
    is_auth_error,
    is_quota_error,
    is_invalid_request_error,
)


def wrapped(error):
    """`error` as the cause of an error of a higher storey, inside a group."""
    try:
        try:
            raise error
        except ChatModelError as cause:
            raise FrameworkError("a step failed", op="step.execute") from cause
    except FrameworkError as outer:
        return ExceptionGroup("several", [ValueError("beside it"), outer])


@pytest.mark.parametrize("code", list(ErrorCode))
def test_predicates_look_down_the_chain(code):
    error = chat_model_error("no", op="o", code=code)
    for seen in (error, wrapped(error)):
        assert code_of(seen) is code
        assert {predicate for predicate in ASKED if predicate(seen)} == PREDICATES.get(code, set())


def test_what_is_no_error_of_ours_has_no_code():
    for error in (None, ValueError("x"), ExceptionGroup("g", [KeyError("x")])):
        assert code_of(error) is None
        assert not any(predicate(error) for predicate in ASKED)


def test_without_a_model_call_the_first_error_counts():
    outer = FrameworkError("outer", code=ErrorCode.TIMEOUT)
    outer.__cause__ = FrameworkError("inner", code=ErrorCode.AUTH)
    assert code_of(outer) is ErrorCode.TIMEOUT


def test_a_context_counts_unless_it_is_suppressed():
    inner, outer = ChatModelError("in", code=ErrorCode.AUTH), ValueError("out")
    outer.__context__ = inner
    assert is_auth_error(outer)
    outer.__suppress_context__ = True
    assert not is_auth_error(outer)


@pytest.mark.parametrize("code", ErrorCode)
def test_what_a_failure_says_of_the_server(code):
    own = {ErrorCode.CANCELLED, ErrorCode.BUDGET, ErrorCode.INTERNAL, ErrorCode.UNSUPPORTED}
    error = ChatModelError("x", op="o", code=code)
    expected = None if code in own else code not in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}
    assert server_is_well(error) is expected
    error.was_asked = False
    assert server_is_well(error) is None


def test_what_is_no_error_of_the_house_says_nothing_of_the_server():
    assert server_is_well(ValueError()) is None
    assert server_is_well(GeneratorExit()) is None


def test_an_error_says_whether_anybody_was_asked():
    class ClosedError(ChatModelError):
        was_asked = False

    assert was_asked(ChatModelError("x", op="o"))
    assert was_asked(ValueError())
    assert not was_asked(ClosedError("x", op="o"))
    error = ChatModelError("x", op="o")
    error.closed_for_s = 3.0
    assert pickle.loads(pickle.dumps(error)).closed_for_s == 3.0
