from __future__ import annotations

import io
import json
import sys

import pytest

from fmf.observability.logging import LogWish, configure, get_logger
from fmf_core.errors import ConfigurationError
from fmf_core.logs import reset_logging


@pytest.fixture(autouse=True)
def _clean():
    yield
    reset_logging()


def lines(capsys, wish, **environ):
    form = configure(wish, environ=environ)
    logger = get_logger("fmf.test")
    logger.debug("test.debug")
    logger.info("test.info", number=1)
    logger.error("test.error")
    return form, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("wish", "environ", "form"),
    [
        (LogWish(), {}, "human"),
        (LogWish(format="json"), {}, "json"),
        (LogWish(format="json"), {"FMF_LOG_FORMAT": "human"}, "human"),
        (LogWish(), {"FMF_LOG_FORMAT": "json"}, "json"),
    ],
)
def test_the_environment_wins_over_the_configuration(capsys, wish, environ, form):
    found, told = lines(capsys, wish, **environ)
    assert found == form
    assert len(told) == 2
    assert told[0].startswith("{") is (form == "json")
    if form == "json":
        assert [json.loads(line)["event"] for line in told] == ["test.info", "test.error"]


@pytest.mark.parametrize(
    ("wish", "environ", "count"),
    [
        (LogWish(level="ERROR"), {}, 1),
        (LogWish(level="ERROR"), {"FMF_LOG_LEVEL": "DEBUG"}, 3),
        (LogWish(quiet=True), {"FMF_LOG_LEVEL": "DEBUG"}, 1),
        (LogWish(level="ERROR", verbose=True), {}, 3),
    ],
)
def test_the_level_is_that_of_option_environment_and_configuration(capsys, wish, environ, count):
    assert len(lines(capsys, wish, **environ)[1]) == count


def test_on_a_terminal_lines_nobody_asked_for_start_at_warning(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for wish, events in ((LogWish(), 0), (LogWish(level="INFO"), 1)):
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        configure(wish, environ={})
        get_logger("fmf.test").info("test.info")
        assert terminal.getvalue().count("test.info") == events


def test_wrong_values_are_configuration_errors():
    with pytest.raises(ConfigurationError, match="FMF_LOG_FORMAT"):
        configure(LogWish(), environ={"FMF_LOG_FORMAT": "xml"})
    with pytest.raises(ConfigurationError, match="Invalid log level"):
        configure(LogWish(), environ={"FMF_LOG_LEVEL": "loud"})
