"""The command `fmf`: each sub-command parses its arguments and calls one function of one room."""

from __future__ import annotations

from collections.abc import Sequence

from fmf.cli.signals import INTERRUPTED, end_on_signals, interrupt_on_signals
from fmf.cli.streams import make_stderr_unfailing, open_closed, tell

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit status.

    Args:
        args: the words behind `fmf`. Without them this is the program itself: it takes the process's own command line,
            sets up the process's streams and signals, and afterwards SIGINT, SIGTERM and SIGHUP end it at once. With
            them the process belongs to the caller, whose streams and signal handlers stay as they are.
    """
    if args is None:
        return _own_process()
    from fmf.cli.app import app

    status: int = app.main(args, standalone_mode=False)
    return status


def _own_process() -> int:
    status = INTERRUPTED
    try:
        try:
            open_closed()
            make_stderr_unfailing()
            interrupt_on_signals()
            # Here, so that signals are heard while it is imported.
            from fmf.cli.app import app
        except KeyboardInterrupt:
            tell("error: interrupted")
        else:
            status = app.main(standalone_mode=False)
    except KeyboardInterrupt:
        status = INTERRUPTED  # a further one, while the end was being told
    end_on_signals()
    return status
