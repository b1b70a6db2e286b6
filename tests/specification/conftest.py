"""Every test in an empty folder, without settings of whoever runs it, and with clean tables and logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clean_house import clean_house, log_lines
from peers.scripted_server import ScriptedServer

__all__ = ["clean_house", "log_lines", "openai"]


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """OpenAI as far as the built-in provider can see: a server on loopback that the environment points to."""
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-specification-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server
