"""Buckets for tests, filled through boto3."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from obstore.store import S3Store
from pydantic import SecretStr

from fmf.config.models import S3ConnectorConfig
from fmf.connectors.s3 import S3Connector
from fmf.connectors.selection import is_path

KEY_ID = "AKIATESTKEYOFNOBODY0"
SECRET = "secret-of-nobody-in-these-tests"
_numbers = itertools.count()


class Keys:
    """Secrets that are given, and no others."""

    def __init__(self, **known: str) -> None:
        self.known = known

    def resolve(self, name: str) -> SecretStr:
        return SecretStr(self.known[name])

    def find(self, name: str) -> SecretStr | None:
        return SecretStr(self.known[name]) if name in self.known else None


KEYS = Keys(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET)


class Bucket:
    """A new bucket at `url`, empty unless `files` are given."""

    def __init__(self, url: str, files: Mapping[str, bytes] | None = None, *, region: str = "us-east-1") -> None:
        self.url, self.region = url, region
        self.name = f"bucket-{os.getpid()}-{next(_numbers)}"
        self.client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.client.create_bucket(Bucket=self.name, **where)
        self.fill(files or {})

    def fill(self, files: Mapping[str, bytes]) -> None:
        """Put many objects; keys that are no paths go through boto3, which is slower."""
        plain = {key for key in files if is_path(key)}
        store = S3Store(
            self.name,
            endpoint=self.url,
            region=self.region,
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: store.put(key, files[key]), plain))
        for key in files.keys() - plain:
            self.put(key, files[key])

    def put(self, key: str, content: bytes, **more: Any) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content, **more)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def close(self) -> None:
        self.client.close()

    def connector(self, **settings: Any) -> S3Connector:
        """A connector over the bucket."""
        return connector_of(self.url, self.name, **settings)


def connector_of(url: str, bucket: str, *, secrets: Any = KEYS, **settings: Any) -> S3Connector:
    """A connector over a bucket at `url` that waits for nothing long."""
    given = {
        "name": "docs",
        "type": "s3",
        "bucket": bucket,
        "endpoint_url": url,
        "timeout_s": 20,
        "retry": {"max_attempts": 4, "first_wait_s": 0.01},
        **settings,
    }
    return S3Connector(S3ConnectorConfig.model_validate(given), secrets)
