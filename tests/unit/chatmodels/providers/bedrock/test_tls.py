from __future__ import annotations

import pytest

from chatmodels import ChatModelError
from chatmodels.providers.bedrock.model import BedrockChatModel
from fmf_core.errors import Code
from peers.bedrock_server import BedrockServer, Reply
from peers.certificates import Certificates

SIGNED = {"region": "r", "aws_access_key_id": "AKIDOFNOBODY", "aws_secret_access_key": "secret-of-nobody"}


def test_a_key_takes_the_place_of_a_signature(monkeypatch, tmp_path):
    certificates = Certificates(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
    with BedrockServer(tls=certificates.context("good")) as server:
        BedrockChatModel(endpoint_url=server.url, region="r", api_key="key-of-nobody").invoke("hello")
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key-of-somebody")
        BedrockChatModel(endpoint_url=server.url, region="r").invoke("hello")
        BedrockChatModel(endpoint_url=server.url, **SIGNED).invoke(
            "hello"
        )  # what was given counts more than a variable
        told = [request.headers["authorization"] for request in server.chats]
        server.add(Reply(text="word " * 1000, pace_s=0.05))
        stream = BedrockChatModel(endpoint_url=server.url, **SIGNED).stream("hello")
        next(stream)
        stream.close()
        server.wait_for(lambda seen: seen.in_flight == 0)
    assert told[:2] == ["Bearer key-of-nobody", "Bearer key-of-somebody"]
    assert told[2].startswith("AWS4-HMAC-SHA256")


def test_certificates_are_checked(tmp_path):
    certificates = Certificates(tmp_path)
    with BedrockServer(tls=certificates.context("good")) as server:
        model = BedrockChatModel(endpoint_url=server.url, **SIGNED)
        with pytest.raises(ChatModelError) as caught:
            model.invoke("hello")
    assert caught.value.code is Code.INVALID  # as of every provider: no other attempt will do
    assert "AWS_CA_BUNDLE" in caught.value.hint
