from __future__ import annotations

import json

import pytest

from fmf.errors import (
    AuthError,
    BudgetError,
    ConfigError,
    ConnectorError,
    ExportError,
    InferenceError,
    NothingMatchedError,
    ProcessingError,
    PromptError,
)
from fmf_core.errors import Code
from fmf_core.redact import add_secret

STATUSES = [
    (ConfigError, 2),
    (AuthError, 3),
    (ConnectorError, 4),
    (ProcessingError, 5),
    (InferenceError, 6),
    (ExportError, 7),
    (PromptError, 8),
    (BudgetError, 9),
    (NothingMatchedError, 11),
]


def raising(error):
    def function(_session):
        raise error

    return function


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_every_kind_of_error_has_its_status_and_two_lines(fmf, try_out, kind, status):
    try_out(raising(kind("it broke", op="room.verb", hint="mend it")))
    result = fmf("try")
    assert result.exit_code == status
    assert result.stderr == "error: it broke\nhint: mend it\n"
    assert result.stdout == ""


def test_a_refused_sign_in_counts_as_secrets_wherever_it_happened(fmf, try_out):
    try_out(raising(InferenceError("refused", op="openai.complete", code=Code.AUTH)))
    assert fmf("try").exit_code == 3


def test_json_puts_the_error_on_stdout_too(fmf, try_out):
    try_out(raising(ConnectorError("gone", op="local.list", code=Code.NOT_FOUND, hint="look")))
    result = fmf("try", "--json")
    assert json.loads(result.stdout) == {
        "error": {"op": "local.list", "code": "not_found", "message": "gone", "hint": "look", "exit_status": 4}
    }
    assert "error: gone" in result.stderr


def test_an_unexpected_error_is_one_line_without_a_traceback(fmf, try_out):
    try_out(raising(KeyError("surprise")))
    result = fmf("try")
    assert result.exit_code == 1
    assert result.stderr == "error: KeyError: 'surprise'\nhint: run again with -v for the traceback\n"


def test_verbose_shows_where_it_arose_without_secrets(fmf, try_out):
    add_secret("hush-hush-value")
    try_out(raising(RuntimeError("with hush-hush-value inside")))
    result = fmf("-v", "try")
    assert "Traceback" in result.stderr
    assert "hush-hush-value" not in result.output


def test_a_message_of_several_lines_stays_so(fmf, try_out):
    try_out(raising(ConfigError("a.yaml: 2 faults\n  a: wrong\n  b: wrong", op="settings.load")))
    assert fmf("try").stderr == "error: a.yaml: 2 faults\n  a: wrong\n  b: wrong\n"


def test_control_characters_of_others_do_not_reach_the_terminal(fmf, try_out):
    try_out(raising(ConnectorError("cannot read evil\x1b[2Jname\r", op="local.open")))
    assert "\x1b" not in fmf("try").stderr


def test_an_interruption_is_130(fmf, try_out):
    try_out(raising(KeyboardInterrupt()))
    result = fmf("try")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_a_status_that_the_command_gives_is_the_exit_status(fmf, try_out):
    for given, status in ((None, 0), (0, 0), (10, 10), ("text", 0), (True, 0)):
        try_out(lambda _session, given=given: given)
        assert fmf("try").exit_code == status


def test_with_json_logs_everything_on_stderr_is_json(fmf, try_out, monkeypatch):
    monkeypatch.setenv("FMF_LOG_FORMAT", "json")
    try_out(raising(ConnectorError("gone", op="local.list", hint="look")))
    lines = [json.loads(line) for line in fmf("try").stderr.splitlines()]
    assert [(line["event"], line["level"], line["message"]) for line in lines] == [("command.failed", "error", "gone")]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_want_of_memory_is_called_by_its_name(fmf, try_out, error):
    try_out(raising(error))
    result = fmf("try")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: there is too little memory to go on: {type(error).__name__}")
    assert "hint: allow this program more memory" in result.stderr
