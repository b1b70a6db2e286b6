"""What every command shares: the global options, before and after its name, and the configuration that they lead to.

A command's module has one attribute that the table in `fmf.cli.app` names:

    from fmf.cli.session import Group, Session, command

    @command("run", help="Run a chain over documents.")
    @click.option("--chain", metavar="FILE")
    def run(session: Session, chain: str | None) -> int | None: ...

    prompt = Group("prompt", help="Register, test and compare prompts.")

    @prompt.command("ls")
    def ls(session: Session) -> None: ...
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from fmf.cli.instead import setting_for
from fmf.cli.later import later_command, later_option
from fmf.cli.output import emit_text, warn
from fmf.cli.streams import written

if TYPE_CHECKING:
    from pathlib import Path

    from fmf.auth.base import Secrets
    from fmf.config.loader import LoadedConfig
    from fmf.config.models import FmfConfig


@dataclass
class Session:
    """One call of `fmf`; the configuration is loaded when it is first asked for."""

    config_path: str | None = None
    """What --config names; None means fmf.yaml of the working directory, if it is there."""
    profile: str | None = None
    """What --profile names."""
    sets: tuple[str, ...] = ()
    """What --set says, in the order given."""
    json: bool = False
    """Whether the result is written as JSON."""
    quiet: bool = False
    """Whether notes and progress are left out."""
    verbose: bool = False
    """Whether everything is logged and errors come with their traceback."""
    _form: str | None = field(default=None, init=False)

    @cached_property
    def loaded(self) -> LoadedConfig:
        """The configuration with the origin of every value; logging is set up as it says.

        Raises:
            ConfigError: it cannot be read, or something in it is wrong; the message names every fault.
        """
        from fmf.config.loader import load_config
        from fmf.observability.logging import LogWish, configure

        loaded = load_config(self.config_path, profile=self.profile, sets=self.sets)
        settings = loaded.value.observability
        unasked = loaded.origin("observability.log_level") == "default"
        wish = LogWish(settings.log_format, None if unasked else settings.log_level, self.verbose, self.quiet)
        self._form = configure(wish)
        return loaded

    @property
    def json_logs(self) -> bool:
        """Whether everything on stderr is one JSON object a line; before there is a configuration, if it will be."""
        if self._form is None:
            from fmf.observability.logging import wants_json

            return wants_json()
        return self._form == "json"

    def planned(self) -> list[str]:
        """One line for each setting that has a value and, in this version, no effect."""
        from fmf.config.planned import ineffective

        return ineffective(self.config)

    def warn_of_planned(self) -> None:
        """Tell on stderr which settings have no effect in this version."""
        for line in self.planned():
            warn(line)

    @property
    def config(self) -> FmfConfig:
        """The settings."""
        return self.loaded.value

    @property
    def root(self) -> Path:
        """The folder that relative paths of the configuration start from."""
        return self.loaded.root

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets that the configuration leads to, each resolved when it is asked for."""
        from fmf.auth.base import build_secrets

        return build_secrets(self.config.auth, self.root)

    def begin(self) -> None:
        """Have secrets blanked and telemetry exported from now on; before anything of the user's is read.

        Raises:
            AuthError: the place of the secrets cannot be read.
            ConfigError: telemetry is wanted, and cannot be exported.
        """
        self.secrets.guard()
        if self.config.observability.otel.enabled:
            from fmf.observability import otel

            otel.start()

    @property
    def interactive(self) -> bool:
        """Whether somebody watches stderr on a terminal and wants progress there."""
        return sys.stderr.isatty() and not self.quiet and not self.json_logs


class GlobalOption(click.Option):
    """An option of every command; the help shows these apart from the command's own."""


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    # A command line may give an option both before and after the command's name: what comes later adds or wins.
    session = context.ensure_object(Session)
    if value is None or value is False or value == ():
        return
    if option.name == "sets":
        session.sets += tuple(value)
    elif option.name:
        setattr(session, option.name, value)


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from fmf import __version__

        emit_text(f"fmf {__version__}")
        context.exit()


def _option(*names: str, callback: Callable[..., None] = _remember, **attributes: Any) -> GlobalOption:
    return GlobalOption(names, expose_value=False, is_eager=True, callback=callback, **attributes)


def _global_options() -> list[click.Parameter]:
    return [
        _option("-c", "--config", "config_path", metavar="FILE", help="The configuration.  [default: fmf.yaml]"),
        _option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Change one setting: connectors.0.root=x"),
        _option("--profile", metavar="NAME", help="The profile of the configuration to use."),
        _option("--json", is_flag=True, help="Write the result as JSON."),
        _option("-q", "--quiet", is_flag=True, help="Write only results, warnings and errors."),
        _option("-v", "--verbose", is_flag=True, help="Log everything, and show where an error arose."),
        _option("--version", is_flag=True, callback=_version, help="Show the version and exit."),
    ]


class Command(click.Command):
    """A command with the global options; its function gets the `Session` first.

    The function returns None, or the exit status where it is not 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_global_options()]

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; for an option of a later version, or one that is a setting, the usage error says so."""
        later = later_option(context.command_path, args)
        if later:
            raise click.UsageError(later, context)
        given = list(args)  # what parses them takes them away
        try:
            return _parsed(super().parse_args, context, args)
        except click.NoSuchOption as error:
            instead = setting_for(error.option_name, given)
            if instead is None:
                raise
            raise click.UsageError(instead, context) from error

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the global ones."""
        _write_options(self, context, formatter)


class Group(click.Group):
    """A group of commands, such as `fmf prompt`, with the global options."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_global_options()]

    def command(self, *args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:  # type: ignore[override]
        """Add a sub-command, like `click.Group.command`; its function gets the `Session` first."""
        add = super().command(*args, **kwargs)
        return lambda function: add(with_session(function))

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse the global options and the name of the sub-command."""
        return _parsed(super().parse_args, context, args)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the sub-command that `args` name; an unknown one is a usage error that names the nearest."""
        if args and not args[0].startswith("-") and self.get_command(context, args[0]) is None:
            later = later_command(f"{context.command_path} {args[0]}")
            raise click.UsageError(later or _unknown(args[0], self.list_commands(context)), context)
        return super().resolve_command(context, args)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the global options, then the sub-commands."""
        _write_options(self, context, formatter)
        self.format_commands(context, formatter)


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `function` get the `Session` of the running command as its first argument."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        context = click.get_current_context()
        return context.invoke(function, context.ensure_object(Session), *args, **kwargs)

    return called


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command with the global options out of a function that takes the `Session` first.

    @command("run")
    @click.option("--chain", metavar="FILE")
    def run(session: Session, chain: str | None) -> int | None: ...
    """
    return lambda function: click.command(name, cls=Command, **attributes)(with_session(function))


def _write_options(command: click.Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    parts: dict[str, list[tuple[str, str]]] = {"Options": [], "Global options": []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            parts["Global options" if isinstance(parameter, GlobalOption) else "Options"].append(record)
    for title, records in parts.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _parsed(
    parse: Callable[[click.Context, list[str]], list[str]], context: click.Context, args: list[str]
) -> list[str]:
    rest: list[str] | None = None
    with written():  # parsing writes the help
        rest = parse(context, args)
    if rest is None:  # to a terminal that was closed meanwhile
        context.exit()
    return rest


def _unknown(name: str, known: Sequence[str]) -> str:
    from fmf_core.nearest import known_hint

    return f"No such command {name!r}: {known_hint(name, known)}."
