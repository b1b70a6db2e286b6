"""Who asks, where the bucket is, and what is said where neither is known."""

from __future__ import annotations

import configparser
import json
from datetime import UTC, datetime, timedelta

import pytest

from fmf.errors import AuthError, ConnectorError, exit_status
from fmf_core.redact import redact
from peers.buckets import KEY_ID, SECRET, Bucket, Keys, connector_of
from peers.fault_proxy import FaultProxy

pytestmark = pytest.mark.peer


@pytest.fixture
def proxy(ministack):
    with FaultProxy(ministack.url) as proxy:
        yield proxy


@pytest.fixture
def bucket(ministack):
    bucket = Bucket(ministack.url, {"a.md": b"a"})
    yield bucket
    bucket.close()


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """A file of credentials with the profile `work`, and nothing else that anybody knows."""
    file = tmp_path / "credentials"
    parser = configparser.ConfigParser()
    parser["work"] = {"aws_access_key_id": "AKIAOFPROFILEWORK000", "aws_secret_access_key": SECRET}
    with file.open("w") as out:
        parser.write(out)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def signed_by(proxy):
    return {headers.get("authorization", "")[:60] for _, headers in proxy.requests}


def test_keys_are_taken_from_the_secrets(bucket, proxy):
    assert len(list(connector_of(proxy.url, bucket.name).list())) == 1
    assert all(f"Credential={KEY_ID}/" in signature for signature in signed_by(proxy))


def test_a_profile_is_taken_from_the_settings_or_the_environment(bucket, proxy, profiles, monkeypatch):
    assert len(list(connector_of(proxy.url, bucket.name, profile="work").list())) == 1
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert len(list(connector_of(proxy.url, bucket.name, secrets=Keys()).list())) == 1
    assert all("Credential=AKIAOFPROFILEWORK000/" in signature for signature in signed_by(proxy))


def test_public_buckets_are_asked_without_a_signature(bucket, proxy, profiles):
    assert len(list(connector_of(proxy.url, bucket.name, secrets=Keys(), anonymous=True).list())) == 1
    assert signed_by(proxy) == {""}


def test_an_unknown_profile_and_no_credentials_are_told(bucket, profiles):
    with pytest.raises(AuthError, match="nobody") as caught:
        bucket.connector(profile="nobody").list()
    assert "'profile'" in caught.value.hint
    with pytest.raises(AuthError, match="credentials") as caught:
        bucket.connector(secrets=Keys()).list()
    assert "boto3 finds none" in redact(caught.value.message)
    assert "anonymous" in caught.value.hint
    assert exit_status(caught.value) == 3


def test_nothing_is_asked_before_the_first_use(proxy):
    connector_of(proxy.url, "bucket")
    assert proxy.requests == []


def test_a_region_that_is_not_given_is_found_out(ministack, proxy):
    bucket = Bucket(ministack.url, {"a.md": b"a"}, region="eu-central-1")
    assert len(list(connector_of(proxy.url, bucket.name).list())) == 1
    assert "/eu-central-1/s3/" in proxy.requests[-1][1]["authorization"]
    bucket.close()


def test_a_region_that_is_given_is_taken(bucket, proxy):
    list(connector_of(proxy.url, bucket.name, region="us-east-1").list())
    assert [line.split(" ")[0] for line, _ in proxy.requests] == ["GET"]


def test_a_refusal_names_the_permissions_and_no_secret(bucket, proxy):
    proxy.answer(403, times=9, where="list-type")
    with pytest.raises(ConnectorError) as caught:
        connector_of(proxy.url, bucket.name).list()
    assert caught.value.code == "refused"
    assert "s3:ListBucket" in caught.value.hint
    assert SECRET not in repr(caught.value.__dict__)
    assert exit_status(caught.value) == 4


def test_certificates_that_cannot_be_read_are_named(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(ConnectorError, match=r"none\.pem") as caught:
        bucket.connector(region="us-east-1").list()
    assert caught.value.code == "invalid"


def test_temporary_credentials_of_a_profile_are_asked_for_by_its_process(
    bucket, proxy, profiles, tmp_path, monkeypatch
):
    given = {"Version": 1, "AccessKeyId": "ASIATEMPORARY0000000", "SecretAccessKey": SECRET, "SessionToken": "tok-en"}
    expiring = {**given, "Expiration": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    (tmp_path / "given.json").write_text(json.dumps(expiring))
    (tmp_path / "config").write_text(f"[profile temp]\ncredential_process = cat {tmp_path / 'given.json'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert len(list(connector_of(proxy.url, bucket.name, profile="temp", region="us-east-1").list())) == 1
    assert {headers.get("x-amz-security-token") for _, headers in proxy.requests} == {"tok-en"}
    assert redact(f"the token tok-en, the key {SECRET}") == "the token [REDACTED], the key [REDACTED]"
