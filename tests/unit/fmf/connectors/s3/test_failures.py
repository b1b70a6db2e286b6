"""Each failure of S3 has one code and a hint, whichever client was told of it."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto
from urllib3 import exceptions as urllib3

from fmf.connectors.s3.failures import of_boto, of_error_in_success, of_reply, of_urllib3
from fmf.errors import AuthError, exit_status
from fmf_core.redact import add_secret

ANSWERS = [
    (301, "PermanentRedirect", "invalid"),
    (400, "AuthorizationHeaderMalformed", "invalid"),
    (400, "ExpiredToken", "auth"),
    (400, "RequestTimeout", "timeout"),
    (401, "Unauthorized", "auth"),
    (403, "AccessDenied", "refused"),
    (403, "InvalidAccessKeyId", "auth"),
    (403, "RequestTimeTooSkewed", "auth"),
    (403, "SignatureDoesNotMatch", "auth"),
    (403, "InvalidObjectState", "unsupported"),
    (404, "NoSuchBucket", "not_found"),
    (404, "NoSuchKey", "not_found"),
    (412, "PreconditionFailed", "conflict"),
    (416, "InvalidRange", "conflict"),
    (418, "Teapot", "bad_reply"),
    (429, "TooManyRequests", "rate_limit"),
    (500, "InternalError", "unavailable"),
    (503, "SlowDown", "rate_limit"),
    (503, "ServiceUnavailable", "unavailable"),
    (504, "GatewayTimeout", "timeout"),
]


@pytest.mark.parametrize(("status", "name", "code"), ANSWERS)
def test_an_answer_has_the_same_code_through_both_clients(status, name, code):
    body = f"<?xml version='1.0'?>\n<Error><Code>{name}</Code><Message>said so</Message></Error>".encode()
    headers = {"retry-after": "7"}
    reply = {
        "Error": {"Code": name, "Message": "said so"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    for told in (
        of_reply(status, headers, body, "s3.open", "reading s3://b/k"),
        of_boto(boto.ClientError(reply, "GetObject"), "s3.open", "reading s3://b/k"),
    ):
        assert told.code == code
        assert told.message.startswith("reading s3://b/k failed: ")
        assert name in told.message
        assert "<" not in told.message
        assert told.retry_after == 7
        assert told.hint
        assert told.fields == {"aws_code": name}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (urllib3.ConnectTimeoutError(None, "late"), "timeout"),
        (urllib3.ReadTimeoutError(None, "/", "late"), "timeout"),
        (TimeoutError("late"), "timeout"),
        (urllib3.ProtocolError("closed"), "unavailable"),
        (urllib3.NewConnectionError(None, "refused"), "unavailable"),
        (urllib3.ProxyError("refused", OSError()), "unavailable"),
        (ConnectionResetError(), "unavailable"),
        (urllib3.SSLError("self-signed"), "internal"),
        (ValueError("no header value"), "internal"),
    ],
)
def test_what_is_no_answer_has_a_code(error, code):
    told = of_urllib3(error, "s3.read", "reading s3://b/k")
    assert told.code == code
    assert told.hint


@pytest.mark.parametrize(
    ("name", "code"),
    [("SlowDown", "rate_limit"), ("ExpiredToken", "auth"), ("InternalError", "bad_reply"), ("", "bad_reply")],
)
def test_an_error_with_a_status_of_success_is_an_error(name, code):
    told = of_error_in_success(f"<Error><Code>{name}</Code></Error>".encode(), "s3.list", "listing")
    assert (told.code, told.retryable) == (code, code != "auth")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (boto.NoCredentialsError(), "auth"),
        (boto.TokenRetrievalError(provider="sso", error_msg="expired"), "auth"),
        (boto.EndpointConnectionError(endpoint_url="http://s3"), "unavailable"),
        (boto.ConnectTimeoutError(endpoint_url="http://s3"), "timeout"),
        (boto.ReadTimeoutError(endpoint_url="http://s3"), "timeout"),
        (boto.ConnectionClosedError(endpoint_url="http://s3"), "unavailable"),
        (boto.SSLError(endpoint_url="http://s3", error="self-signed"), "internal"),
        (boto.ParamValidationError(report="wrong"), "internal"),
    ],
)
def test_what_boto3_raises_by_itself_has_a_code(error, code):
    told = of_boto(error, "s3.connect", "asking")
    assert told.code == code
    assert told.hint
    assert isinstance(told, AuthError) == (code == "auth")
    assert exit_status(told) == (3 if code == "auth" else 4)


def test_a_secret_in_what_a_client_says_is_blanked():
    add_secret("a-secret-of-nobody")
    told = of_urllib3(urllib3.ProtocolError("signed with a-secret-of-nobody"), "s3.open", "reading")
    assert "a-secret-of-nobody" not in str(told)
