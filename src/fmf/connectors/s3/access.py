"""How a bucket is reached: who asks, where it is, and the two clients that ask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, ProfileNotFound
from obstore.store import S3Store

from fmf.config.connectors import S3ConnectorConfig
from fmf.connectors.base import Keys
from fmf.connectors.retries import Retries
from fmf.connectors.s3.failures import BOTO, no_credentials, of_boto
from fmf.errors import AuthError, ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import add_secret

CONNECT_S: Final = 10.0
"""How long a connection may take to come about, in seconds, where `timeout_s` is not less."""
_KEYS: Final = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}
_PUBLIC = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")
# Credentials are asked for again after half of it; boto3 renews them a quarter of an hour before they end.
_LIFE = timedelta(minutes=10)


@dataclass(frozen=True)
class Access:
    """A bucket, ready to be asked."""

    store: S3Store
    """Lists and reads."""
    client: Any
    """boto3's client, for what the store cannot tell."""


def reach(config: S3ConnectorConfig, secrets: Keys, retries: Retries) -> Access:
    """Find out who asks and where the bucket is.

    Raises:
        AuthError: there are no credentials.
        ConnectorError: the bucket's region cannot be found out.
    """
    session = _session(config, secrets)
    credentials = None if config.anonymous else _credentials(config, session)
    client = _client(config, session, config.region or session.region_name or "us-east-1")
    region = config.region or retries.call(lambda: _region_of(config, client))
    if region != client.meta.region_name:
        client = _client(config, session, region)
    return Access(_store(config, region, client.meta.endpoint_url, credentials), client)


def _session(config: S3ConnectorConfig, secrets: Keys) -> Any:
    given = {}
    if config.profile is None and not config.anonymous:
        found = {argument: secrets.find(name) for argument, name in _KEYS.items()}
        given = {argument: secret.get_secret_value() for argument, secret in found.items() if secret is not None}
    if not {"aws_access_key_id", "aws_secret_access_key"} <= given.keys():
        given = {}  # half a pair: boto3's own chain may know more
    try:
        return boto3.session.Session(profile_name=config.profile, region_name=config.region, **given)
    except ProfileNotFound as error:
        raise AuthError(
            f"connector {config.name!r} cannot sign in: {error}",
            op="s3.connect",
            hint=f"change 'profile' of connector {config.name!r}, or AWS_PROFILE",
        ) from error


def _credentials(config: S3ConnectorConfig, session: Any) -> _Credentials:
    what = f"signing in for connector {config.name!r}"
    try:
        found = session.get_credentials()
    except BOTO as error:
        raise of_boto(error, "s3.connect", what) from error
    if found is None:
        raise no_credentials("s3.connect", what, "boto3 finds none")
    return _Credentials(found)


class _Credentials:
    """Gives obstore what boto3 knows, renewed in time."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __call__(self) -> dict[str, Any]:
        frozen = self._found.get_frozen_credentials()
        for secret in (frozen.secret_key, frozen.token):
            if secret:
                add_secret(secret)
        renewed = isinstance(self._found, RefreshableCredentials)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _LIFE if renewed else None,
        }


def _client(config: S3ConnectorConfig, session: Any, region: str) -> Any:
    settings = Config(
        connect_timeout=min(CONNECT_S, config.timeout_s),
        read_timeout=config.timeout_s,
        retries={"total_max_attempts": 1},
        signature_version=UNSIGNED if config.anonymous else None,
        s3={"addressing_style": "path"} if config.endpoint_url else None,
    )
    return session.client("s3", region_name=region, endpoint_url=config.endpoint_url, config=settings)


def _region_of(config: S3ConnectorConfig, client: Any) -> str:
    """The bucket's region, which S3 tells also to those who may not look into it."""
    try:
        reply = client.head_bucket(Bucket=config.bucket)["ResponseMetadata"]
    except ClientError as error:
        reply = error.response.get("ResponseMetadata", {})
        if not _told_region(reply):
            raise of_boto(error, "s3.connect", f"asking where bucket {config.bucket!r} is") from error
    except BOTO as error:
        raise of_boto(error, "s3.connect", f"asking where bucket {config.bucket!r} is") from error
    return _told_region(reply) or str(client.meta.region_name)


def _told_region(reply: dict[str, Any]) -> str:
    return str(reply.get("HTTPHeaders", {}).get("x-amz-bucket-region", ""))


def _certificates(bundle: Path) -> bytes:
    try:
        return bundle.read_bytes()
    except OSError as error:
        raise ConnectorError(
            f"AWS_CA_BUNDLE, {str(bundle)!r}, cannot be read: {error.strerror or error}",
            op="s3.connect",
            code=Code.INVALID,
            hint="let it name a file of certificates in the form PEM",
        ) from error


def _store(config: S3ConnectorConfig, region: str, endpoint: str, credentials: _Credentials | None) -> S3Store:
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=min(CONNECT_S, config.timeout_s)),
        "read_timeout": timedelta(seconds=config.timeout_s),
        # Of a whole request with its body: a large object may take as long as it likes while bytes come.
        "timeout": timedelta(days=1),
        "allow_http": endpoint.startswith("http://"),
    }
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        client["root_certificate"] = _certificates(Path(bundle))
    public = (urlsplit(endpoint).hostname or "").endswith(_PUBLIC)
    where: dict[str, Any] = {"region": region} if public else {"region": region, "endpoint": endpoint}
    who: dict[str, Any] = {"credential_provider": credentials} if credentials else {"skip_signature": True}
    # One owner of retries, and it is not this client.
    never = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
    return S3Store(config.bucket, client_options=client, retry_config=never, **where, **who)  # type: ignore[arg-type]
