"""The one place where errors become text and exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from fmf.cli.signals import INTERRUPTED
from fmf.cli.streams import OutputError, ReaderGoneError, mute_stdout, tell, written

if TYPE_CHECKING:
    from fmf.cli.session import Session

USAGE, READER_GONE = 2, 141


def guarded(run: Callable[[], Any], session: Session, args: Sequence[str]) -> int:
    """Call `run` and give the exit status; what it raises is told on stderr, and with --json on stdout as well.

    Args:
        run: does the work; gives the exit status, or anything else for 0.
        session: the global options, as far as they were understood.
        args: the command line, asked for --json and -v when it could not be understood.
    """
    try:
        status = _tell_errors(run, session, args)
        with written():
            sys.stdout.flush()
    except (ReaderGoneError, BrokenPipeError):
        mute_stdout()
        return READER_GONE
    except OutputError as error:
        mute_stdout()
        tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED  # while an interrupt was being told: it has been said
    return status


def _tell_errors(run: Callable[[], Any], session: Session, args: Sequence[str]) -> int:
    from fmf_core.errors import FrameworkError

    try:
        result = run()
    except (ReaderGoneError, BrokenPipeError, OutputError):
        raise
    except (KeyboardInterrupt, click.Abort):
        _tell(session, {"op": "", "code": "cancelled", "message": "interrupted", "hint": ""}, INTERRUPTED, args)
        return INTERRUPTED
    except click.ClickException as error:
        return _usage(error, session, args)
    except FrameworkError as error:
        from fmf.errors import exit_status

        status = exit_status(error)
        facts = {"op": error.op, "code": str(error.code), "message": error.message, "hint": error.hint}
        _traceback(error, session)
        _tell(session, facts, status, args)
        return status
    except Exception as error:  # noqa: BLE001 - whatever a command raises, the user gets one line
        _traceback(error, session)
        _tell(session, _unexpected(error, session), 1, args)
        return 1
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _unexpected(error: Exception, session: Session) -> dict[str, str]:
    from fmf_core.starved import MORE_MEMORY, wants_memory

    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    if wants_memory(error):
        message = f"there is too little memory to go on: {said}"
        return {"op": "", "code": "unavailable", "message": message, "hint": MORE_MEMORY}
    hint = "" if session.verbose else "run again with -v for the traceback"
    return {"op": "", "code": "internal", "message": said, "hint": hint}


def _usage(error: click.ClickException, session: Session, args: Sequence[str]) -> int:
    # The message is the help; older releases of click show it by themselves.
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        tell(error.format_message())
        return USAGE
    context = getattr(error, "ctx", None)
    hint = f"try '{context.command_path} --help'" if context is not None else "try 'fmf --help'"
    _tell(session, {"op": "cli", "code": "invalid", "message": error.format_message(), "hint": hint}, USAGE, args)
    return USAGE


def _tell(session: Session, facts: dict[str, str], status: int, args: Sequence[str]) -> None:
    from fmf.cli.output import emit_json, escape
    from fmf_core.redact import redact

    safe = {key: redact(value) for key, value in facts.items()}
    if session.json or "--json" in args:
        emit_json({"error": {**safe, "exit_status": status}})
    if session.json_logs:
        from fmf_core.logs import configure_logging, get_logger

        configure_logging(level="ERROR", format="json")
        get_logger("fmf.cli").error("command.failed", **safe, exit_status=status)
        return
    lines = [f"error: {safe['message']}", *([f"hint: {safe['hint']}"] if safe["hint"] else [])]
    for line in lines:
        tell(escape(line))


def _traceback(error: BaseException, session: Session) -> None:
    if not session.verbose or session.json_logs:
        return
    import traceback

    from fmf_core.redact import redact

    tell(redact("".join(traceback.format_exception(error))), end="")
