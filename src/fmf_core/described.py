"""The JSON Schema of settings, each with its default and with what the source says of it."""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def described_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """The schema of `model` as JSON Schema (draft 2020-12), every field with its description and default.

    Args:
        model: the pydantic model of the whole.
        title: what the schema is called.
    """
    schema = model.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **_clean(schema)}
    sections = {section.__name__: section for section in _sections(model, set())}
    for name, part in [*schema.get("$defs", {}).items(), (model.__name__, schema)]:
        if name in sections:
            _describe(part, sections[name])
    return schema


def descriptions(section: type[BaseModel]) -> dict[str, str]:
    """What the source says below each field of `section`, inherited ones included."""
    found: dict[str, str] = {}
    for ancestor in reversed(section.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            found.update(_fields_of(inspect.getsourcefile(ancestor) or "", ancestor.__name__))
    return found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models_in(part)


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
        for inner in models_in(field.annotation):
            yield from _sections(inner, seen)


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
