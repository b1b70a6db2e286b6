"""Fixtures for tests of the workflow engine: an empty folder, nobody's settings, clean tables and logs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator

import pytest

from fmf_core.logs import configure_logging, reset_logging
from generative_ai_workflow import PluginRegistry


@pytest.fixture(autouse=True)
def clean_house(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[None]:
    """An empty folder, without settings of whoever runs the tests; the tables and the log as they were."""
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
