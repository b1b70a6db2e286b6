"""A library, a sign-in, and connectors to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from fmf.auth.base import SecretNotFoundError
from fmf.config.connectors import SharePointConnectorConfig
from fmf.connectors.sharepoint import SharePointConnector
from peers.certificates import Certificates
from peers.entra_server import CLIENT, SECRET, TENANT, EntraServer
from peers.graph_server import SITE_URL, GraphServer

Connect = Callable[..., SharePointConnector]


class Secrets:
    """Secrets from a mapping."""

    def __init__(self, **known: str) -> None:
        self.known = known

    def resolve(self, name: str) -> SecretStr:
        if name not in self.known:
            raise SecretNotFoundError(f"secret {name} is missing")
        return SecretStr(self.known[name])

    def find(self, name: str) -> SecretStr | None:
        return SecretStr(self.known[name]) if name in self.known else None


@pytest.fixture(autouse=True)
def _own_environment_of_azure(monkeypatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def entra(certificates) -> Iterator[EntraServer]:
    with EntraServer(certificates.context("good")) as server:
        yield server


@pytest.fixture
def graph(entra) -> Iterator[GraphServer]:
    with GraphServer() as server:
        server.valid = lambda token: token in entra.tokens
        yield server
        assert server.with_token == [], "a token was sent to the download host"


@pytest.fixture
def connect(entra, certificates) -> Connect:
    """Make a connector to a library."""

    def make(server: GraphServer, *, secrets: Secrets | None = None, **more: object) -> SharePointConnector:
        config = {
            "name": "docs",
            "type": "sharepoint",
            "site_url": SITE_URL,
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "graph_url": server.url,
            "authority": entra.url,
            "ca_bundle": str(certificates.authority),
            "retry": {"max_attempts": 4, "first_wait_s": 0.001, "max_wait_s": 5},
            **more,
        }
        return SharePointConnector.from_config(
            SharePointConnectorConfig.model_validate(config),
            base=Path.cwd(),
            secrets=secrets or Secrets(AZURE_CLIENT_SECRET=SECRET),
        )

    return make


def ids(refs) -> list[str]:
    return [ref.id for ref in refs]
