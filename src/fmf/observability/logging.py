"""The logs of the command line: their form and level, from the configuration, the environment and the options."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fmf_core.errors import ConfigurationError
from fmf_core.logs import configure_logging, get_logger

__all__ = ["LogWish", "configure", "configure_logging", "get_logger"]

Format = Literal["json", "human"]
FORMAT_VARIABLE = "FMF_LOG_FORMAT"
ITEM_LOGGERS = {"generative_ai_workflow": "CRITICAL", "chatmodels": "WARNING"}
"""Loggers that write lines for every item of a run, failed ones included, and their level unless one was asked for.

What failed stands in errors.jsonl and, by kind, in the summary.
"""


@dataclass(frozen=True, slots=True)
class LogWish:
    """What the configuration and the options say about logs; None where they say nothing."""

    format: str | None = None
    """`json` or `human`."""
    level: str | None = None
    """The least level that is logged."""
    verbose: bool = False
    """Whether everything is logged, whatever `level` says."""
    quiet: bool = False
    """Whether errors alone are logged, whatever `level` says."""


def configure(wish: LogWish, *, environ: Mapping[str, str] | None = None) -> Format:
    """Set up logging on stderr and give the form of the lines.

    FMF_LOG_FORMAT and FMF_LOG_LEVEL win over the configuration; the options win over both. Lines that nobody asked for
    start at INFO, but on a terminal at WARNING: progress and the summary tell the rest there. The lines of every single
    item (its workflow, its steps) are only written when a level was asked for: a run has very many.

    Raises:
        ConfigurationError: FMF_LOG_FORMAT or FMF_LOG_LEVEL is wrong.
    """
    environ = os.environ if environ is None else environ
    form = _form(environ.get(FORMAT_VARIABLE) or wish.format or "human")
    asked = wish.verbose or environ.get("FMF_LOG_LEVEL") or wish.level
    configure_logging(level=_level(wish, form, environ), format=form, least=None if asked else ITEM_LOGGERS)
    return form


def wants_json(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment asks for log lines as JSON, for errors that come before there is a configuration."""
    return (os.environ if environ is None else environ).get(FORMAT_VARIABLE) == "json"


def _form(name: str) -> Format:
    if name == "json":
        return "json"
    if name == "human":
        return "human"
    raise ConfigurationError(
        f"{FORMAT_VARIABLE} is {name!r}", op="observability.configure", hint="known formats: json, human"
    )


def _level(wish: LogWish, form: Format, environ: Mapping[str, str]) -> str:
    if wish.verbose:
        return "DEBUG"
    if wish.quiet:
        return "ERROR"
    unasked = "WARNING" if form == "human" and sys.stderr.isatty() else "INFO"
    return environ.get("FMF_LOG_LEVEL") or wish.level or unasked
