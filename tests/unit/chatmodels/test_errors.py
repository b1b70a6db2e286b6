from __future__ import annotations

import pickle

import pytest

from chatmodels import ChatModelError, ErrorCode, ProviderAuthError
from chatmodels.errors import chat_model_error
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
