"""Errors of the data rooms, and the exit status that each kind of failure gives the `fmf` command."""

from __future__ import annotations

from chatmodels.errors import ChatModelError as InferenceError
from fmf_core.errors import Code, FrameworkError, PluginError
from fmf_core.errors import ConfigurationError as ConfigError

__all__ = [
    "AuthError",
    "BudgetError",
    "ConfigError",
    "ConnectorError",
    "ExportError",
    "InferenceError",
    "NothingMatchedError",
    "ProcessingError",
    "PromptError",
    "exit_status",
]


class AuthError(FrameworkError):
    """A secret could not be resolved, or a sign-in was refused."""

    default_code = Code.AUTH


class ConnectorError(FrameworkError):
    """A source could not be listed or read."""


class ProcessingError(FrameworkError):
    """A file could not be turned into a document."""


class PromptError(FrameworkError):
    """A prompt is missing, malformed, or not the one that was registered."""

    default_code = Code.INVALID


class ExportError(FrameworkError):
    """Records could not be written to their sink."""


class BudgetError(FrameworkError):
    """The next call could cost more than was allowed."""

    default_code = Code.BUDGET


class NothingMatchedError(FrameworkError):
    """The selection matched no resource."""

    default_code = Code.NOT_FOUND


DONE, UNEXPECTED, PARTIAL, INTERRUPTED = 0, 1, 10, 130

# The first class of the error's own line of ancestors that stands here decides; the code AUTH decides before any class.
_STATUS: dict[type[BaseException], int] = {
    ConfigError: 2,
    PluginError: 2,
    AuthError: 3,
    ConnectorError: 4,
    ProcessingError: 5,
    InferenceError: 6,
    ExportError: 7,
    PromptError: 8,
    BudgetError: 9,
    NothingMatchedError: 11,
    KeyboardInterrupt: INTERRUPTED,
}


def exit_status(error: BaseException) -> int:
    """The exit status of `fmf` for `error`: see the table in `docs/exit-status.md`."""
    if isinstance(error, FrameworkError) and error.code is Code.AUTH:
        return _STATUS[AuthError]
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), UNEXPECTED)
