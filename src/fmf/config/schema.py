"""The JSON Schema of fmf.yaml, for editors and for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from fmf.config.connectors import TYPES as CONNECTOR_TYPES
from fmf.config.connectors import PluginConnectorConfig
from fmf.config.export import TYPES as SINK_TYPES
from fmf.config.export import PluginSinkConfig
from fmf.config.models import FmfConfig
from fmf_core.described import described_schema, models_in

_SHIPPED = {PluginConnectorConfig: CONNECTOR_TYPES, PluginSinkConfig: SINK_TYPES}


def json_schema() -> dict[str, Any]:
    """The schema of fmf.yaml as JSON Schema (draft 2020-12), every setting with its description and default."""
    schema = described_schema(FmfConfig, "fmf.yaml")
    # An item of a shipped type must not pass as an item of a plugin, which may hold any key.
    for section, shipped in _SHIPPED.items():
        schema["$defs"][section.__name__]["properties"]["type"]["not"] = {"enum": list(shipped)}
    return schema


def leaves() -> Iterator[str]:
    """The path of every setting that is no section; items of a list stand as `connectors[TYPE].root`."""
    return _leaves(FmfConfig, "")


def choices() -> Iterator[str]:
    """The settings that leave a choice: those of `leaves` that may have more than one value."""
    return _leaves(FmfConfig, "", fixed=False)


def _leaves(section: type[BaseModel], path: str, *, fixed: bool = True) -> Iterator[str]:
    for name, field in section.model_fields.items():
        deeper = f"{path}.{field.alias or name}" if path else field.alias or name
        inner = list(models_in(field.annotation))
        if (not inner or _is_mapping(field.annotation)) and (fixed or not _is_fixed(field.annotation)):
            yield deeper
        for model in [] if _is_mapping(field.annotation) else inner:
            kind = model.model_fields.get("type")
            if kind is None:
                yield from _leaves(model, deeper, fixed=fixed)
            elif kind.annotation is not str:
                yield from _leaves(model, f"{deeper}[{kind.annotation.__args__[0]}]", fixed=fixed)  # type: ignore[union-attr]


def _is_fixed(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _is_mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is dict
