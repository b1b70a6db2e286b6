"""Every setting of a configuration with its value and origin, fit to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fmf.config.masked import masked
from fmf_core.redact import redact_value
from fmf_core.yaml_text import path_text

if TYPE_CHECKING:
    from fmf.config.loader import LoadedConfig

Setting = tuple[str, Any, str]
"""Path, value, origin."""


def settings(loaded: LoadedConfig) -> list[Setting]:
    """Every setting in the order of the schema; secrets are masked."""
    found = [(path_text(path), value) for path, value in _leaves(masked(loaded.value), ())]
    return [(path, redact_value(value), loaded.origin(path)) for path, value in found]


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value
