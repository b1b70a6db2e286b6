"""Checking the section `inference` without a key, a model or the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from chatmodels.config import ChatModelConfig
from chatmodels.standing_by import fallback_config
from chatmodels.vendor import check_own_settings
from fmf.config.providers import is_weight_file
from fmf.errors import ConfigError
from fmf.inference.client import chat_model_config
from fmf_core.errors import Code, PluginError

if TYPE_CHECKING:
    from fmf.config.models import FmfConfig
    from fmf.inference.client import Keys


class AnyKey:
    """Secrets that are all there, so that nobody is asked for them.

    Args:
        others: where plain values, which are no secrets, are found; without it nowhere.
    """

    def __init__(self, others: Keys | None = None) -> None:
        self._others = others

    def resolve(self, name: str) -> SecretStr:  # noqa: ARG002 - the signature is that of `Keys`
        """A secret that opens nothing."""
        return SecretStr("no key: nobody is asked")

    def find(self, name: str) -> SecretStr | None:  # noqa: ARG002 - as above
        """None."""
        return None

    def setting(self, name: str) -> str | None:
        """The plain value called `name`."""
        return None if self._others is None else self._others.setting(name)


def check_inference(config: FmfConfig, *, root: Path | None = None) -> list[str]:
    """Check that the providers take the settings that they are given, and that weight files are there.

    Args:
        config: the configuration.
        root: the folder that relative paths start from; the working directory by default.

    Returns:
        What could not be checked, because an extra is not installed.

    Raises:
        ConfigError: a provider has no such setting, or there is no such file.
    """
    unchecked = []
    for place, settings in _models(chat_model_config(config, AnyKey(), root=root)):
        try:
            check_own_settings(settings)
        except PluginError as error:
            if error.code is not Code.UNSUPPORTED:
                raise
            unchecked.append(f"{place}: not checked, {error.message}")
        except ConfigError as error:
            raise ConfigError(f"{place}: {error.message}", op="config.check", hint=error.hint) from error
        if settings.provider == "local" and settings.model and is_weight_file(settings.model):
            _check_file(place, Path(settings.model))
    return unchecked


def _models(first: ChatModelConfig) -> Iterator[tuple[str, ChatModelConfig]]:
    yield "inference", first
    for number, given in enumerate(first.fallbacks):
        yield f"inference.fallbacks[{number}]", fallback_config(given, first)


def _check_file(place: str, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(
            f"{place}: there is no weight file {str(path)!r}",
            op="config.check",
            code=Code.NOT_FOUND,
            hint="check inference.local.model; relative paths start from the folder of fmf.yaml",
        )
