from __future__ import annotations

import sys
import types

import click
import pytest
from click.testing import CliRunner

from fmf.cli import app as app_module
from fmf.cli.session import Session, command
from fmf_core.logs import reset_logging


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in ("FMF_LOG_FORMAT", "FMF_LOG_LEVEL", "FMF_PROFILE", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    reset_logging()


@pytest.fixture
def fmf():
    """Run the command line in this process."""

    def run(*args, **kwargs):
        return CliRunner().invoke(app_module.app, [str(arg) for arg in args], **kwargs)

    return run


@pytest.fixture
def try_out(monkeypatch):
    """Add the command `try`, which calls the given function with its session."""

    def add(function):
        @command("try")
        @click.argument("words", nargs=-1)
        def tried(session: Session, words):
            return function(session)

        module = types.ModuleType("tried_command")
        module.tried = tried
        monkeypatch.setitem(sys.modules, "tried_command", module)
        monkeypatch.setitem(app_module.COMMANDS, "try", ("tried_command:tried", "Try something."))

    return add
