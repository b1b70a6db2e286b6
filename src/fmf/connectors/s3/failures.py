"""What a failed request to S3 says, whichever client made it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    TokenRetrievalError,
)
from urllib3 import exceptions as urllib3

from fmf.connectors.replies import StrangeReplyError, code_of, retry_after
from fmf.errors import AuthError, ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import redact

BOTO: Final = (ClientError, BotoCoreError)
"""What boto3 raises."""

_CODE = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_AUTH = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
_BUSY = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"})
_ELSEWHERE = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_HINTS: Final = {
    Code.AUTH: "look at the credentials (environment, profile, role) and at the clock",
    Code.REFUSED: "the identity needs s3:ListBucket on the bucket and s3:GetObject on its objects",
    Code.NOT_FOUND: "it was listed, so it has been deleted or renamed since: run again",
    Code.CONFLICT: "run again when nobody writes to it",
    Code.RATE_LIMIT: "read less at once, or raise the connector's retry.max_attempts",
    Code.TIMEOUT: "raise the connector's timeout_s, or look at the network",
    Code.UNAVAILABLE: "look at the network, at endpoint_url and at the service's status",
    Code.UNSUPPORTED: "look at endpoint_url: the service does not offer what was asked for",
    Code.INVALID: "leave 'region' out, so that the bucket's own is found",
}


def of_reply(status: int, headers: Mapping[str, str], body: bytes, op: str, what: str) -> ConnectorError:
    """What a refusal means for who tried to do `what`."""
    name, message = _said(body)
    why = f"status {status}{f', {message}' if message else ''}"
    return _told(_code(status, name) or Code.INTERNAL, op, what, name, why, asked=retry_after(headers))


def of_error_in_success(body: bytes, op: str, what: str) -> ConnectorError:
    """What an error means that came with a status of success."""
    name, message = _said(body)
    code = _code(None, name)
    why = f"status 200, and yet an error{f', {message}' if message else ''}"
    if code is None:
        shown = f" ({name})" if name else ""
        return StrangeReplyError(
            f"{what} failed: {redact(why)}{shown}",
            op=op,
            hint="run again later; look at the service's status",
            fields={"aws_code": name} if name else None,
        )
    return _told(code, op, what, name, why)


def of_urllib3(error: Exception, op: str, what: str) -> ConnectorError:
    """What a failure means with which no reply came, or none to its end."""
    text = _first_line(str(error)) or type(error).__name__
    if isinstance(error, urllib3.SSLError | ssl.SSLCertVerificationError):
        return _told(Code.INTERNAL, op, what, "", text)
    if isinstance(error, urllib3.NewConnectionError):
        return _told(Code.UNAVAILABLE, op, what, "", text)
    if isinstance(error, urllib3.TimeoutError | TimeoutError):
        late = "no connection in time" if isinstance(error, urllib3.ConnectTimeoutError) else "no answer in time"
        return _told(Code.TIMEOUT, op, what, "", late)
    if isinstance(error, urllib3.ProxyError):
        return _told(Code.UNAVAILABLE, op, what, "", f"the proxy does not let through: {text}")
    if isinstance(error, urllib3.HTTPError | HTTPException | OSError):
        return _told(Code.UNAVAILABLE, op, what, "", text)
    return _told(Code.INTERNAL, op, what, "", text)


def _said(body: bytes) -> tuple[str, str]:
    """The service's own name for what happened, and its sentence."""
    text = body.decode("utf-8", "replace")
    name, message = _CODE.search(text), _MESSAGE.search(text)
    return name[1] if name else "", " ".join(message[1].split()) if message else ""


def of_boto(error: Exception, op: str, what: str) -> ConnectorError | AuthError:
    """What boto3's `error` means for who tried to do `what`."""
    if isinstance(error, ClientError):
        facts = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        name = str(facts.get("Code", ""))
        code = _code(status, name) or Code.INTERNAL
        asked = retry_after(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
        return _told(code, op, what, name if name.isalpha() else "", str(facts.get("Message") or error), asked=asked)
    text = _first_line(str(error))
    if isinstance(error, NoCredentialsError | PartialCredentialsError | TokenRetrievalError):
        return no_credentials(op, what, text)
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return _told(Code.TIMEOUT, op, what, "", text)
    if isinstance(error, SSLError | ProxyConnectionError):
        return _told(Code.INTERNAL, op, what, "", text)
    waiting_helps = isinstance(error, HTTPClientError | EndpointConnectionError)
    return _told(Code.UNAVAILABLE if waiting_helps else Code.INTERNAL, op, what, "", text)


def no_credentials(op: str, what: str, why: str) -> AuthError:
    """The error where nobody knows who asks."""
    return AuthError(
        f"{what} failed: there are no usable AWS credentials ({redact(why)})",
        op=op,
        hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket anonymous: true",
    )


def _code(status: int | None, name: str) -> Code | None:
    if name in _AUTH:
        return Code.AUTH
    if name in _BUSY:
        return Code.RATE_LIMIT
    if name in _ELSEWHERE or status in {301, 307}:
        return Code.INVALID
    if name == "InvalidObjectState":
        return Code.UNSUPPORTED
    if name == "RequestTimeout":
        return Code.TIMEOUT
    return None if status is None else code_of(status)


def _told(code: Code, op: str, what: str, name: str, why: str, *, asked: float | None = None) -> ConnectorError:
    hint = _HINTS.get(code, "look at endpoint_url, and at what lies between here and the service")
    if name == "NoSuchBucket" or (code is Code.NOT_FOUND and op == "s3.connect"):
        hint = "look at the connector's 'bucket' and 'endpoint_url'"
    if name == "InvalidObjectState":
        hint = "restore the object from its archive first, or exclude it by a pattern"
    return ConnectorError(
        f"{what} failed: {redact(why)}{f' ({name})' if name and name not in why else ''}",
        op=op,
        code=code,
        hint=hint,
        retry_after=asked,
        fields={"aws_code": name} if name else None,
    )


def _first_line(text: str) -> str:
    """The sentence for people: without the reply's body and the client's own details."""
    return text.partition("\n")[0].partition(": <?xml")[0].partition(": <")[0].strip()
