"""The JSON Schema of fmf.yaml, for editors and for people."""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from fmf.config.connectors import TYPES as CONNECTOR_TYPES
from fmf.config.connectors import PluginConnectorConfig
from fmf.config.export import TYPES as SINK_TYPES
from fmf.config.export import PluginSinkConfig
from fmf.config.models import FmfConfig

_SHIPPED = {PluginConnectorConfig: CONNECTOR_TYPES, PluginSinkConfig: SINK_TYPES}


def json_schema() -> dict[str, Any]:
    """The schema of fmf.yaml as JSON Schema (draft 2020-12), every setting with its description and default."""
    schema = FmfConfig.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fmf.yaml", **_clean(schema)}
    sections = {section.__name__: section for section in _sections(FmfConfig, set())}
    for name, part in [*schema.get("$defs", {}).items(), ("FmfConfig", schema)]:
        if name in sections:
            _describe(part, sections[name])
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


def descriptions(section: type[BaseModel]) -> dict[str, str]:
    """What the source says below each field of `section`, inherited ones included."""
    found: dict[str, str] = {}
    for ancestor in reversed(section.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            found.update(_fields_of(inspect.getsourcefile(ancestor) or "", ancestor.__name__))
    return found


def _describe(part: dict[str, Any], section: type[BaseModel]) -> None:
    told = descriptions(section)
    for name, field in section.model_fields.items():
        shown = part["properties"].get(field.alias or name)
        if shown is None:
            continue
        if name in told:
            shown["description"] = told[name]
        if not field.is_required() and "default" not in shown and not _holds_section(shown):
            default = field.get_default(call_default_factory=True, validated_data={})
            shown["default"] = default.model_dump(mode="json") if isinstance(default, BaseModel) else default


def _holds_section(shown: dict[str, Any]) -> bool:
    return "$ref" in shown


def _clean(schema: Any) -> Any:
    """`schema` without the titles that repeat the keys."""
    if isinstance(schema, dict):
        return {key: _clean(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    return [_clean(item) for item in schema] if isinstance(schema, list) else schema


def _sections(section: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if section in seen:
        return
    seen.add(section)
    yield section
    for field in section.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from _sections(inner, seen)


def _leaves(section: type[BaseModel], path: str, *, fixed: bool = True) -> Iterator[str]:
    for name, field in section.model_fields.items():
        deeper = f"{path}.{field.alias or name}" if path else field.alias or name
        inner = list(_models_in(field.annotation))
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


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)


@lru_cache
def _fields_of(file: str, section: str) -> dict[str, str]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    body = next((node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == section), [])
    told: dict[str, str] = {}
    for field, after in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            told[field.target.id] = inspect.cleandoc(str(after.value.value))
    return told
