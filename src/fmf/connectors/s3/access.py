"""How a bucket is reached: who asks, and where it is."""

from __future__ import annotations

from typing import Any, Final, cast
from urllib.parse import quote

import boto3.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ProfileNotFound

from fmf.config.connectors import S3ConnectorConfig
from fmf.connectors.base import Keys
from fmf.connectors.retries import Retries
from fmf.connectors.s3.failures import BOTO, no_credentials, of_boto
from fmf.connectors.s3.wire import CONNECT_S, Signer, Wire
from fmf.errors import AuthError

_KEYS: Final = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}


def reach(config: S3ConnectorConfig, secrets: Keys, retries: Retries) -> Wire:
    """Find out who asks and where the bucket is.

    Raises:
        AuthError: there are no credentials.
        ConnectorError: the bucket's region cannot be found out.
    """
    session = _session(config, secrets)
    signer = None if config.anonymous else _credentials(config, session)
    client = _client(config, session, config.region or session.region_name or "us-east-1")
    region = config.region or retries.call(lambda: _region_of(config, client))
    if region != client.meta.region_name:
        client = _client(config, session, region)
    client.close()
    url = f"{client.meta.endpoint_url.rstrip('/')}/{quote(config.bucket, safe='~')}"
    return Wire(url, region, signer, config.timeout_s)


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


def _credentials(config: S3ConnectorConfig, session: Any) -> Signer:
    what = f"signing in for connector {config.name!r}"
    try:
        found = session.get_credentials()
    except BOTO as error:
        raise of_boto(error, "s3.connect", what) from error
    if found is None:
        raise no_credentials("s3.connect", what, "boto3 finds none")
    return cast("Signer", found)


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
