"""Requests are signed as botocore signs them."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from fmf.connectors.s3.signing import Signing

NOW = datetime(2026, 11, 28, 9, 5, 7, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=20)
ETAGS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def theirs(method, url, headers, keys, region):
    request = AWSRequest(method, url, headers=headers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: NOW)
        botocore.auth.S3SigV4Auth(keys, "s3", region).add_auth(request)
    return request.headers["Authorization"]


@given(
    key=WORDS,
    values=st.tuples(WORDS, WORDS),
    etag=ETAGS,
    secret=st.text(st.characters(codec="ascii"), min_size=1, max_size=40),
    token=st.none() | st.text(st.sampled_from("abc/+=09"), min_size=1),
    host=st.sampled_from(["s3.eu-central-1.amazonaws.com", "127.0.0.1:9000"]),
)
def test_the_signature_is_the_one_of_botocore(key, values, etag, secret, token, host):
    keys = ReadOnlyCredentials("AKIDEXAMPLE", secret, token)
    path = f"/bucket/{quote(key, safe='/~')}"
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in zip(("a", "b-c"), values, strict=True))
    headers = {"if-match": etag, "range": "bytes=5-"}
    signing = Signing("eu-central-1")
    for asked in (("GET", path, query), ("HEAD", path, "")):
        mine = signing.signed(asked, {"host": host, **headers}, keys, NOW)
        url = f"https://{host}{path}{'?' if asked[2] else ''}{asked[2]}"
        assert urlsplit(url).path == path
        assert mine["authorization"] == theirs(asked[0], url, headers, keys, "eu-central-1")
        assert mine.get("x-amz-security-token") == token


def test_another_day_and_other_keys_have_another_signature():
    signing, headers = Signing("us-east-1"), {"host": "h"}
    request = ("GET", "/bucket", "")
    one, other = (ReadOnlyCredentials("AKID", secret, None) for secret in ("one", "other"))
    later = NOW.replace(day=29)
    found = [
        signing.signed(request, headers, keys, now)["authorization"] for keys in (one, other) for now in (NOW, later)
    ]
    assert len(set(found)) == 4
    assert signing.signed(request, headers, one, NOW)["authorization"] == found[0]
