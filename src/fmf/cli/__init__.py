"""The command `fmf`: each sub-command parses its arguments and calls one function of one room."""

from __future__ import annotations

from collections.abc import Sequence

from fmf.cli.signals import INTERRUPTED, end_on_signals, interrupt_on_signals
from fmf.cli.streams import make_stderr_unfailing, open_closed, tell

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line `args` (default: the process's own) and give its exit status.

    For the program's own process: afterwards SIGINT, SIGTERM and SIGHUP end it at once.
    """
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
            status = app.main(args, standalone_mode=False)
    except KeyboardInterrupt:
        status = INTERRUPTED  # a further one, while the end was being told
    end_on_signals()
    return status
