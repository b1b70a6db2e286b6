"""What went wrong in a call to Bedrock, as errors of the house: exceptions of boto3, and refusals of the service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from botocore import eventstream
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import MOST_SAID, Call
from chatmodels.providers.http_errors import code_of_status, seconds_to_wait
from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import shortened


class LateError(Exception):
    """No complete answer came in time."""


class UnusableError(Exception):
    """boto3 can make no client of its settings."""


class TooLongError(OSError):
    """The reply is longer than an answer can be."""


SIGN_IN: Final = (
    "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile (AWS_PROFILE), "
    "or AWS_BEARER_TOKEN_BEDROCK"
)
ACCESS: Final = (
    "the account needs access to the model, and the identity the permissions bedrock:InvokeModel and "
    "bedrock:InvokeModelWithResponseStream"
)
QUOTA: Final = "look at the account's quotas for this model in Service Quotas, or ask for less at once"
SETTINGS: Final = "look at the settings of boto3: region, endpoint_url, profile, AWS_* variables"
REACH: Final = "check region and endpoint_url: is the model's region right, and can it be reached from here?"

SERVICE_ERRORS: Final[Mapping[str, tuple[Code, str]]] = {
    "ThrottlingException": (Code.RATE_LIMIT, ""),
    "Throttling": (Code.RATE_LIMIT, ""),
    "TooManyRequestsException": (Code.RATE_LIMIT, ""),
    "ServiceQuotaExceededException": (Code.RATE_LIMIT, QUOTA),
    "ServiceUnavailableException": (Code.UNAVAILABLE, ""),
    "ServiceUnavailable": (Code.UNAVAILABLE, ""),
    "InternalServerException": (Code.UNAVAILABLE, ""),
    "InternalFailure": (Code.UNAVAILABLE, ""),
    "ModelErrorException": (Code.UNAVAILABLE, ""),
    "ModelStreamErrorException": (Code.UNAVAILABLE, ""),
    "ModelNotReadyException": (Code.UNAVAILABLE, "the model is being made ready; ask again in a moment"),
    "ModelTimeoutException": (Code.TIMEOUT, "ask for less: a shorter prompt, or fewer max_tokens"),
    "AccessDeniedException": (Code.AUTH, f"{ACCESS}; {SIGN_IN}"),
    "AccessDenied": (Code.AUTH, f"{ACCESS}; {SIGN_IN}"),
    "UnrecognizedClientException": (Code.AUTH, SIGN_IN),
    "InvalidClientTokenId": (Code.AUTH, SIGN_IN),
    "ExpiredTokenException": (Code.AUTH, f"the credentials have expired: sign in again; {SIGN_IN}"),
    "ExpiredToken": (Code.AUTH, f"the credentials have expired: sign in again; {SIGN_IN}"),
    "InvalidSignatureException": (Code.AUTH, f"{SIGN_IN}; and the machine's clock"),
    "SignatureDoesNotMatch": (Code.AUTH, f"{SIGN_IN}; and the machine's clock"),
    "IncompleteSignatureException": (Code.AUTH, SIGN_IN),
    "MissingAuthenticationTokenException": (Code.AUTH, SIGN_IN),
    "ResourceNotFoundException": (Code.NOT_FOUND, "check the model's id, and whether the region has it"),
    "UnknownOperationException": (Code.NOT_FOUND, "check endpoint_url: does Bedrock's runtime answer there?"),
    "ConflictException": (Code.UNAVAILABLE, ""),
    "ValidationException": (Code.INVALID, ""),
}
"""The service's own names of errors, to what they mean here and what to do."""

VALIDATIONS: Final = (
    (
        r"model identifier is invalid|model ID.*not (?:found|valid)|could not resolve the foundation model",
        Code.NOT_FOUND,
        "check the model's id, and whether the region has it; list them: aws bedrock list-foundation-models",
    ),
    (
        r"on-demand throughput isn.t supported|inference profile",
        Code.INVALID,
        "ask an inference profile: the model's id with us., eu., apac. or global. before it",
    ),
    (
        r"doesn.t support the model that you provided|doesn.t support (?:the )?converse",
        Code.UNSUPPORTED,
        "this model has no converse: set api to invoke_model (and shape, when the id does not tell the family)",
    ),
    (
        r"too long|too many (?:input )?tokens|exceed\w* (?:the )?(?:maximum|max|context)",
        Code.INVALID,
        "shorten the prompt, or have documents cut into smaller chunks",
    ),
)
"""What a ValidationException may say, to what it means here and what to do."""

# Of a class and those above it, the first that stands here counts.
EXCEPTIONS: Final[Mapping[type[BaseException], tuple[Code, str]]] = {
    boto.NoCredentialsError: (Code.AUTH, SIGN_IN),
    boto.PartialCredentialsError: (Code.AUTH, SIGN_IN),
    boto.CredentialRetrievalError: (Code.AUTH, SIGN_IN),
    boto.TokenRetrievalError: (Code.AUTH, SIGN_IN),
    boto.NoAuthTokenError: (Code.AUTH, SIGN_IN),
    boto.SSOError: (Code.AUTH, f"aws sso login; {SIGN_IN}"),
    boto.ProfileNotFound: (Code.AUTH, "check profile (AWS_PROFILE); list them: aws configure list-profiles"),
    boto.NoRegionError: (Code.INVALID, "set region, or AWS_REGION"),
    boto.InvalidRegionError: (Code.INVALID, "check region (AWS_REGION)"),
    boto.ParamValidationError: (Code.INVALID, "look at extra_params and at the request"),
    boto.ConnectTimeoutError: (Code.TIMEOUT, REACH),
    boto.ReadTimeoutError: (Code.TIMEOUT, "raise timeout_s, or ask for less"),
    boto.SSLError: (Code.UNAVAILABLE, "set AWS_CA_BUNDLE to the certificates of your proxy or endpoint"),
    boto.EndpointConnectionError: (Code.UNAVAILABLE, REACH),
    boto.ProxyConnectionError: (Code.UNAVAILABLE, "check HTTPS_PROXY"),
    boto.ConnectionError: (Code.UNAVAILABLE, REACH),
    boto.ConnectionClosedError: (Code.UNAVAILABLE, ""),
    boto.ResponseStreamingError: (Code.UNAVAILABLE, ""),
    boto.IncompleteReadError: (Code.UNAVAILABLE, ""),
    boto.HTTPClientError: (Code.UNAVAILABLE, REACH),
    eventstream.ChecksumMismatch: (Code.UNAVAILABLE, "the stream was damaged on its way"),
    eventstream.ParserError: (Code.BAD_REPLY, ""),
    ResponseParserError: (Code.BAD_REPLY, ""),
    boto.BotoCoreError: (Code.INVALID, SETTINGS),
    UnusableError: (Code.INVALID, SETTINGS),
    LateError: (Code.TIMEOUT, "raise timeout_s, or ask for less"),
    TooLongError: (Code.BAD_REPLY, ""),
    TimeoutError: (Code.TIMEOUT, ""),
    OSError: (Code.UNAVAILABLE, ""),
}
"""Exceptions of boto3 and of what lies below it, to what they mean here and what to do."""
UNSENT: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.NoAuthTokenError,
    boto.ProfileNotFound,
    boto.NoRegionError,
    boto.InvalidRegionError,
    boto.ParamValidationError,
    UnusableError,
)
"""Exceptions that boto3 raises before it sends anything."""
UNREACHED: Final = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError)
"""Exceptions that say that there was no connection to send anything over."""
SELF_EXPLAINING: Final = frozenset((LateError, UnusableError, TooLongError, OSError))
"""Exceptions that say everything without their names."""
DISTRUST: Final = "CERTIFICATE_VERIFY_FAILED"
"""In the words of an error: the certificate itself is wrong, so that no other attempt will do."""
# urllib3's own names come through where a stream is read; boto3 may bring one that is imported from elsewhere.
BELOW: Final[Mapping[str, Code]] = {"TimeoutError": Code.TIMEOUT, "HTTPError": Code.UNAVAILABLE}


def translated(error: Exception, call: Call) -> FrameworkError:
    """The error of the house for whatever was raised while Bedrock was asked."""
    if isinstance(error, FrameworkError):
        return error
    if isinstance(error, boto.ClientError):
        return service_error(error.response, call)
    if isinstance(error, boto.SSLError) and DISTRUST in str(error):
        return call.error(
            f"SSLError: {shortened(str(error), MOST_SAID)}", Code.INVALID, hint=EXCEPTIONS[boto.SSLError][1]
        )
    inside = getattr(error, "kwargs", {}).get("error")
    if isinstance(inside, OSError):
        error = inside
    for kind in type(error).__mro__:
        if kind in EXCEPTIONS:
            code, hint = EXCEPTIONS[kind]
            message = str(error) if kind in SELF_EXPLAINING else f"{type(error).__name__}: {error}"
            told = call.error(shortened(message, MOST_SAID), code, hint=hint)
            told.was_asked = not isinstance(error, UNSENT)
            told.was_sent = not isinstance(error, UNSENT + UNREACHED)
            return told
        if kind.__module__.startswith("urllib3.") and kind.__name__ in BELOW:
            return call.error(f"{type(error).__name__}: {shortened(str(error), MOST_SAID)}", BELOW[kind.__name__])
    # What boto3 trips over is a reply of a shape that its parsers do not expect.
    return call.error(f"boto3 cannot read the reply: {type(error).__name__}: {error}", Code.BAD_REPLY)


def service_error(response: Mapping[str, Any], call: Call) -> ChatModelError:
    """The error for what the service answered instead of a reply, or sent in mid stream; `response` as boto3 has it."""
    told = response.get("Error") or {}
    name, said = str(told.get("Code") or ""), shortened(str(told.get("Message") or "no reason given"), MOST_SAID)
    kind = name[:1].upper() + name[1:]  # in streams the names begin small
    metadata = response.get("ResponseMetadata") or {}
    status = metadata.get("HTTPStatusCode") or 0
    unnamed = code_of_status(status) if status else Code.UNAVAILABLE  # there is no status in a stream
    code, hint = SERVICE_ERRORS.get(kind) or (unnamed, "")
    if kind == "ValidationException":
        code, hint = _validation(said)
    where = "" if name == kind or not name else " in mid stream"
    return call.error(
        f"Bedrock answered {kind or status}{where}: {said}",
        code,
        hint=hint,
        retry_after=seconds_to_wait(metadata.get("HTTPHeaders") or {}),
        fields={"aws_code": kind, **({"status": status} if status else {})},
    )


def _validation(said: str) -> tuple[Code, str]:
    for pattern, code, hint in VALIDATIONS:
        if re.search(pattern, said, re.IGNORECASE):
            return code, hint
    return Code.INVALID, ""
