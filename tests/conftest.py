"""Peers and the embedded model for every test; no request to a model that a test did not ask for."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from chatmodels import weights
from chatmodels.errors import ChatModelError
from chatmodels.testing import allow_model_requests, forbid_model_requests
from fmf_core import redact as redaction
from peers.aws_server import AwsServer
from peers.embedded_server import EmbeddedServer
from peers.ministack import Ministack
from peers.moto import Moto
from peers.scripted_server import ScriptedServer

EMBEDDED_MODEL = "smollm2-135m-instruct"
NOT_RUN = "NOT RUN: "

# How long an example takes says how busy the machine is, and nothing about the code.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("house", _PATIENT, max_examples=25)
settings.register_profile("thorough", _PATIENT, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in tuple(os.environ):
        if name.startswith(("OPENAI_", "AWS_", "FMF_", "OTEL_", "CHATMODELS_")) and name != "FMF_MODEL_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test begin without registered secrets: a key such as `wrong` would blank that word from then on."""
    monkeypatch.setattr(redaction, "_known", type(redaction._known)())


@pytest.fixture(autouse=True)
def _nothing_learnt() -> None:
    """Let every test begin without what was learnt of endpoints: another server may have had the same port."""
    if (shared := sys.modules.get("chatmodels.wrappers.shared")) is not None:
        shared.forget_all()


@pytest.fixture(autouse=True)
def _no_stray_requests(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forbid requests to models, except in tests marked `peer` or `model` and while a `ScriptedServer` runs."""
    asked_for = any(request.node.get_closest_marker(name) for name in ("peer", "model"))
    with allow_model_requests() if asked_for else forbid_model_requests():
        yield


@pytest.fixture
def scripted_server() -> Iterator[ScriptedServer]:
    """A chat-completions server without a script yet; `add` replies to it."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="session")
def embedded_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the embedded model, fetched if need be."""
    lock = tmp_path_factory.getbasetemp().parent / "weights.lock"
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # several processes may run the tests; one of them fetches
        try:
            return weights.pull(EMBEDDED_MODEL)
        except ChatModelError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                pytest.fail(f"the weights of the embedded model are needed here: {error}", pytrace=False)
            pytest.skip(f"{NOT_RUN}the embedded model's weights cannot be fetched: {error}")


@pytest.fixture(scope="session")
def embedded_server(embedded_weights: Path) -> Iterator[EmbeddedServer]:
    """The embedded engine's own OpenAI-compatible server, with its real model."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(EmbeddedServer(embedded_weights))
        except RuntimeError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                raise
            pytest.skip(f"{NOT_RUN}{error}")
        yield server


@pytest.fixture(scope="session")
def ministack() -> Iterator[Ministack]:
    """AWS services on loopback."""
    yield from _served(Ministack())


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """Other AWS services on loopback."""
    yield from _served(Moto())


Server = TypeVar("Server", bound=AwsServer)


def _served(server: Server) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            stack.enter_context(server)
        except RuntimeError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                raise
            pytest.skip(f"{NOT_RUN}{error}")
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what could not be tested here."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_RUN in reason:
            reasons[reason[reason.index(NOT_RUN) :]] = reasons.get(reason[reason.index(NOT_RUN) :], 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} tests {reason}", red=True, bold=True)
