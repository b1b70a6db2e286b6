"""Signature Version 4 for requests without a body, in the few steps that reading needs."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


class Keys(Protocol):
    """What signs, as botocore names it."""

    @property
    def access_key(self) -> str:
        """Who signs."""
        ...

    @property
    def secret_key(self) -> str:
        """What signs, and is never sent."""
        ...

    @property
    def token(self) -> str | None:
        """What goes with temporary keys."""
        ...


class _Derived(NamedTuple):
    """The key of one day."""

    day: str
    secret: str
    key: bytes


class Signing:
    """Signs requests to S3; may be used by many threads.

    Args:
        region: where the bucket is.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._derived = _Derived("", "", b"")

    def signed(
        self, request: tuple[str, str, str], headers: Mapping[str, str], keys: Keys, now: datetime
    ) -> dict[str, str]:
        """The headers to send, with the signature over all that are given.

        Args:
            request: method, encoded path, and encoded query whose parts are sorted.
            headers: by their names in small letters; `host` is one of them.
            keys: who asks.
            now: the time, in UTC.
        """
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        sent = {**headers, "x-amz-content-sha256": _NO_BODY, "x-amz-date": stamp}
        if keys.token:
            sent["x-amz-security-token"] = keys.token
        names = sorted(sent)
        lines = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
        signed = ";".join(names)
        canonical = "\n".join((*request, lines, signed, _NO_BODY))
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(stamp[:8], keys.secret_key), text.encode(), "sha256").hex()
        sent["authorization"] = (
            f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return sent

    def _key(self, day: str, secret: str) -> bytes:
        known = self._derived
        if (known.day, known.secret) != (day, secret):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = known = _Derived(day, secret, key)
        return known.key
