"""Finding the named things of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmf_core.errors import Code, ConfigurationError
from fmf_core.nearest import known_hint

if TYPE_CHECKING:
    from fmf.config.models import ConnectorConfig, FmfConfig


def connector_named(config: FmfConfig, name: str) -> ConnectorConfig:
    """The entry of `connectors` that is called `name`.

    Raises:
        ConfigurationError: there is none; the hint lists those that are.
    """
    for connector in config.connectors:
        if connector.name == name:
            return connector
    known = [connector.name for connector in config.connectors]
    raise ConfigurationError(
        f"unknown connector {name!r}",
        op="config.connector",
        code=Code.NOT_FOUND,
        hint=known_hint(name, known, none="none; add one under connectors: in fmf.yaml"),
    )
