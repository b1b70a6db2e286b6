from __future__ import annotations

import base64
import json
import subprocess
import threading

import pytest

from fmf.connectors.sharepoint import sign_in
from fmf.errors import AuthError, ConfigError, ConnectorError, exit_status
from fmf_core.errors import Code
from fmf_core.redact import blank_known
from peers.entra_server import CLIENT, SECRET, TENANT

from .conftest import Secrets


def ids(refs):
    return [ref.id for ref in refs]


@pytest.fixture
def library(graph):
    graph.put("a.md", b"x")
    return graph


def test_one_token_serves_all_requests_and_threads(library, connect, entra):
    connector = connect(library)
    (ref,) = connector.list()
    threads = [threading.Thread(target=lambda: connector.open(ref).read()) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entra.tokens) == 1
    assert entra.asked[0]["scope"] == "https://graph.microsoft.com/.default"
    assert blank_known(entra.tokens[0]) != entra.tokens[0]


def test_a_token_is_renewed_before_it_ends(library, connect, entra, monkeypatch):
    connector = connect(library)
    now = [1000.0]
    monkeypatch.setattr(sign_in.time, "monotonic", lambda: now[0])
    list(connector.list())
    now[0] += 3600 - sign_in.MARGIN_S - 1
    list(connector.list())
    assert len(entra.tokens) == 1
    now[0] += 2
    list(connector.list())
    assert len(entra.tokens) == 2


def test_a_token_that_is_refused_is_replaced_once(library, connect, entra):
    connector = connect(library)
    list(connector.list())
    first = entra.tokens[0]
    library.valid = lambda token: token in entra.tokens and token != first
    assert ids(connector.list()) == ["a.md"]
    assert (len(entra.tokens), connector.retries) == (2, 0)
    library.valid = lambda token: False
    with pytest.raises(ConnectorError) as caught:
        connector.list()
    assert (len(entra.tokens), exit_status(caught.value)) == (3, 3)


def test_a_wrong_and_a_missing_secret_are_told_without_it(library, connect):
    wrong = "wrong-secret-of-nobody"
    with pytest.raises(AuthError, match="AADSTS7000215") as caught:
        connect(library, secrets=Secrets(AZURE_CLIENT_SECRET=wrong)).list()
    assert (exit_status(caught.value), wrong in str(caught.value)) == (3, False)
    with pytest.raises(AuthError, match="AZURE_CLIENT_SECRET"):
        connect(library, secrets=Secrets()).list()


def test_an_unknown_tenant_and_an_authority_that_is_none_are_told(library, connect):
    with pytest.raises(ConfigError, match="no-tenant") as caught:
        connect(library, tenant_id="no-tenant").list()
    assert "tenant_id" in caught.value.hint
    with pytest.raises(ConfigError, match="signing in"):
        connect(library, authority="http://login.example").list()


def test_a_sign_in_out_of_reach_and_one_that_nobody_vouches_for_are_told(library, connect, certificates):
    with pytest.raises(ConnectorError) as caught:
        connect(library, authority="https://127.0.0.1:9").list()
    assert caught.value.code is Code.UNAVAILABLE
    with pytest.raises(ConnectorError, match="certificate is not trusted") as caught:
        connect(library, ca_bundle=None).list()
    assert "ca_bundle" in caught.value.hint
    assert not caught.value.retryable


def test_a_sign_in_that_is_busy_is_asked_again(library, connect, entra, monkeypatch):
    answer, refused = entra.answer, [503, 429]
    monkeypatch.setattr(entra, "answer", lambda form: (refused.pop(), {}) if refused else answer(form))
    connector = connect(library)
    assert ids(connector.list()) == ["a.md"]
    assert connector.retries == 2


@pytest.fixture
def by_certificate(entra, monkeypatch):
    """The forms of a sign-in that wants a certificate."""
    forms = []

    def answer(form):
        forms.append(form)
        token = f"entra-token-{len(forms)}-by-certificate"
        entra.tokens.append(token)
        return 200, {"token_type": "Bearer", "access_token": token, "expires_in": 3600}

    monkeypatch.setattr(entra, "answer", answer)
    return forms


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """A certificate with its key: in one PEM file, the key alone, the key with a password, and as .pfx."""
    folder = tmp_path_factory.mktemp("keys")

    def openssl(line):
        return subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True).stdout.decode()

    openssl("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=app")
    openssl("rsa -in key.pem -aes256 -passout pass:of-nobody -out locked.pem")
    openssl("pkcs12 -export -inkey key.pem -in cert.pem -passout pass:of-nobody -out both.pfx")
    (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    (folder / "thumbprint").write_text(openssl("x509 -in cert.pem -noout -fingerprint -sha1").partition("=")[2].strip())
    return folder


@pytest.mark.parametrize("file", ["both.pem", "key.pem", "locked.pem", "both.pfx"])
def test_a_certificate_signs_in_without_a_secret(library, connect, by_certificate, keys, file):
    settings = {"certificate_path": str(keys / file)}
    if file in ("key.pem", "locked.pem"):
        settings["certificate_thumbprint"] = (keys / "thumbprint").read_text()
    if file in ("locked.pem", "both.pfx"):
        settings["certificate_password_secret"] = "KEY_PASSWORD"
    connector = connect(library, secrets=Secrets(KEY_PASSWORD="of-nobody"), **settings)
    assert ids(connector.list()) == ["a.md"]
    (form,) = by_certificate
    assert "client_secret" not in form
    assert form["client_id"] == CLIENT
    head, claims, _ = form["client_assertion"].split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert told["iss"] == told["sub"] == CLIENT
    assert TENANT in told["aud"]
    assert {"x5t", "x5t#S256"} & json.loads(base64.urlsafe_b64decode(head + "==")).keys()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("key.pem", "thumbprint"),
        ("gone.pem", "cannot be read"),
        ("cert.pem", "no private key"),
        ("locked.pem", "thumbprint"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told(library, connect, keys, file, told):
    with pytest.raises(ConfigError, match=told):
        connect(library, certificate_path=str(keys / file)).list()


def test_no_text_of_the_connector_shows_a_secret(library, connect, entra):
    connector = connect(library)
    list(connector.list())
    shown = f"{connector!r} {connector.__dict__!r} {connector._graph.__dict__!r}"
    assert SECRET not in shown
    assert entra.tokens[0] not in shown
