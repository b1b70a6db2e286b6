"""Settings that a configuration may already hold and this version does not act on yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from fmf.config.models import FmfConfig

PLANNED: Final[Mapping[str, str]] = {
    "auth.azure_key_vault": "there is no secret provider azure_key_vault yet",
    "auth.aws_secrets": "there is no secret provider aws_secrets yet",
    "export.default_sink": "records are written to artefacts only",
    "export.sinks": "records are written to artefacts only",
}
"""Path of a setting, or of a section, to what happens instead; `connectors[s3]` means the items of that type."""


def ineffective(config: FmfConfig) -> list[str]:
    """One line for each planned setting that `config` sets to something else than its default."""
    found: dict[str, list[str]] = {}
    for path, shown in _differences(config, type(config)(), "", ""):
        for planned in PLANNED:
            if path == planned or path.startswith((f"{planned}.", f"{planned}[")):
                found.setdefault(planned, []).append(shown)
    return [f"{', '.join(shown)}: set, but {PLANNED[planned]}" for planned, shown in found.items()]


def _differences(value: Any, default: Any, path: str, shown: str) -> Iterator[tuple[str, str]]:
    """Where `value` differs from `default`: the path as `PLANNED` spells it, and as a user does."""
    if value == default:
        return
    if isinstance(value, BaseModel) and type(value) is type(default):
        for name in type(value).model_fields:
            deeper = f"{path}.{name}" if path else name
            yield from _differences(getattr(value, name), getattr(default, name), deeper, deeper)
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for item in value:
            yield f"{path}[{getattr(item, 'type', '')}]", f"{shown} ({getattr(item, 'name', '')})"
    else:
        yield path, shown
