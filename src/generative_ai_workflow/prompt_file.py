"""Prompt files: several versions of one prompt in YAML, read strictly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from fmf_core.value import Value

_ID = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_./-]*[A-Za-z0-9_-])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SUFFIXES = (".yaml", ".yml")


class PromptInputs(Value):
    """What a template needs."""

    required: tuple[str, ...] = ()
    """Every name that the template uses; the step that uses the prompt must give all of them."""


class PromptExample(Value):
    """One few-shot turn: what could be asked, and the answer that the model should copy in style."""

    input: str | dict[str, Any]
    """Text: the user's turn as it is. A mapping: values for the template, rendered like the real question."""
    output: Any
    """Text as it is; any other value is shown to the model as compact JSON."""


class PromptAssertions(Value):
    """What must hold for the rendered template."""

    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    max_tokens: int | None = Field(default=None, ge=1)


class PromptTest(Value):
    """A check of one version: render the template with `inputs`, then look at the text."""

    name: str = Field(min_length=1)
    inputs: dict[str, Any] = Field(default_factory=dict)
    assertions: PromptAssertions = PromptAssertions()


class PromptVersion(Value):
    """One version of a prompt."""

    version: str
    template: str = Field(min_length=1)
    system: str | None = None
    inputs: PromptInputs = PromptInputs()
    examples: tuple[PromptExample, ...] = ()
    tests: tuple[PromptTest, ...] = ()
    changes: str | None = None
    author: str | None = None
    created_at: str | None = None

    @field_validator("version")
    @classmethod
    def _nameable(cls, value: str) -> str:
        if not _VERSION.fullmatch(value):
            raise ValueError(f"{value!r} is no version: use letters, digits and . _ -, such as v1")
        return value


class PromptFile(Value):
    """All versions of one prompt."""

    id: str
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    versions: tuple[PromptVersion, ...]

    @field_validator("id")
    @classmethod
    def _nameable(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError(f"{value!r} is no id: use letters, digits and . _ - /")
        if value.endswith(SUFFIXES):
            raise ValueError("an id that ends like a file name cannot be told from a path")
        return value

    @field_validator("versions")
    @classmethod
    def _each_once(cls, versions: tuple[PromptVersion, ...]) -> tuple[PromptVersion, ...]:
        if not versions:
            raise ValueError("there must be at least one version")
        names = [item.version for item in versions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"version {', '.join(twice)} stands here more than once")
        return versions

    def version_names(self) -> list[str]:
        """The versions, in the order of the file."""
        return [item.version for item in self.versions]


def read_prompt_file(path: Path, *, source: str | None = None) -> PromptFile:
    """Read one prompt file.

    Args:
        path: the file.
        source: how messages name it; default: the path.

    Raises:
        ConfigurationError: it is missing, no YAML, or breaks the schema; every fault is named with its line and column.
    """
    from fmf_core.settings import validate
    from fmf_core.yaml_text import load_yaml_file

    yaml = load_yaml_file(path)
    return validate(PromptFile, yaml.data, source=source or str(path), yaml=yaml)
