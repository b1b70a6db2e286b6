"""Finding the named things of a configuration."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from fmf_core.errors import Code, ConfigurationError

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
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigurationError(
        f"unknown connector {name!r}",
        op="config.connector",
        code=Code.NOT_FOUND,
        hint=f"{guess}known: {', '.join(known) or 'none; add one under connectors: in fmf.yaml'}",
    )
