"""Checking the whole of a configuration, the profiles that are not active included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fmf.config.loader import LoadedConfig, load_config
from fmf_core.errors import ConfigurationError


def check_profiles(
    loaded: LoadedConfig,
    look: Callable[[LoadedConfig], None],
    *,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """The names of the profiles of `loaded`, each of which would load too.

    Args:
        loaded: the configuration.
        look: checks more about the configuration of each; raises `ConfigurationError`.
        sets: what `--set` changed in it.
        environ: the environment; the process's own by default.

    Raises:
        ConfigurationError: one does not; the message names the profile and every fault.
    """
    for name in loaded.value.profiles:
        try:
            look(load_config(loaded.path, profile=name, sets=sets, environ=environ))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"with profile {name!r}: {error.message}", op="config.check", code=error.code, hint=error.hint
            ) from error
    return list(loaded.value.profiles)
