"""The table of commands; a command's module is imported when the command is called."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import click

from fmf.cli.boundary import guarded
from fmf.cli.output import warn
from fmf.cli.session import Group, Session
from fmf.cli.streams import ReaderGoneError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("fmf.cli.run:run", "Run a chain over documents."),
    "process": ("fmf.cli.process:process", "Turn documents into chunks."),
    "infer": ("fmf.cli.infer:infer", "Ask the model once."),
    "runs": ("fmf.cli.runs:runs", "Look at past runs, verify them, remove old ones."),
    "prompt": ("fmf.cli.prompt:prompt", "Register, test and compare prompts."),
    "connect": ("fmf.cli.connect:connect", "Look into the sources of documents."),
    "models": ("fmf.cli.models:models", "List, fetch and describe models."),
    "config": ("fmf.cli.config:config", "Show and check the configuration."),
    "keys": ("fmf.cli.keys:keys", "Test the secrets."),
    "doctor": ("fmf.cli.doctor:doctor", "Say what is installed, configured and reachable."),
}
"""Command to where it is and what it does."""

EPILOG = (
    "Exit status: 0 done, 1 unexpected, 2 usage or configuration, 3 secrets, 4 connector, 5 processing, 6 inference, "
    "7 export, 8 prompt, 9 budget, 10 some items failed, 11 nothing matched, 130 interrupted."
)


class App(Group):
    """The root: its help comes from the table, and every error of a command ends here as text and exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """The names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import the command, if there is one of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the table; no command's module is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and hand over its telemetry; a reader of stdout that left is told apart from a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would turn it into exit status 1, which means a defect here.
            raise ReaderGoneError from error
        finally:
            _hand_over_telemetry()

    def main(self, args: Sequence[str] | None = None, *more: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run the command line `args`; ends the process unless `standalone_mode` is off, then gives the exit status."""
        given = list(sys.argv[1:] if args is None else args)
        session = Session()
        kwargs = {"prog_name": "fmf", **kwargs, "standalone_mode": False, "obj": session}
        status = guarded(functools.partial(super().main, given, *more, **kwargs), session, given)
        if standalone_mode:
            sys.exit(status)
        return status


def _hand_over_telemetry() -> None:
    """Send what is left of traces and metrics; whatever comes of it, the exit status stays that of the command."""
    otel = sys.modules.get("fmf.observability.otel")
    if otel is None:
        return
    try:
        told = otel.hand_over()
    except KeyboardInterrupt:
        return
    if told:
        warn(told)


app = App("fmf", help="Documents in, rows out: run language models over an organisation's documents.", epilog=EPILOG)
