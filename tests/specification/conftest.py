"""Every test in an empty folder, without settings of whoever runs it, and with clean tables and logs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator

import pytest

from fmf_core.logs import reset_logging
from generative_ai_workflow import PluginRegistry
from generative_ai_workflow.observability.logging import configure_logging
from peers.scripted_server import ScriptedServer


@pytest.fixture(autouse=True)
def _clean_house(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[None]:
    for name in tuple(os.environ):
        if name.startswith("GENAI_WORKFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(str(tmp_path))
    yield
    PluginRegistry.clear()
    reset_logging()


@pytest.fixture
def log_lines() -> Callable[[], list[dict]]:
    """Log everything as JSON; gives a function that returns the lines written so far."""
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """OpenAI as far as the built-in provider can see: a server on loopback that the environment points to."""
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-specification-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server
