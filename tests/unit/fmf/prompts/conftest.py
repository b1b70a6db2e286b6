from __future__ import annotations

from pathlib import Path

import pytest

from fmf.config.models import PromptRegistryConfig
from fmf.prompts.registry import PromptRegistry

SUMMARISE = """\
id: summarise
description: A summary.
versions:
  - version: v1
    template: "Sum up: {{ text }}"
    inputs: {required: [text]}
    tests:
      - {name: keeps the text, inputs: {text: abc}, assertions: {contains: [abc], not_contains: ['{{'], max_tokens: 9}}
  - version: v2
    template: "Sum up in one line: {{ text }}"
    inputs: {required: [text]}
    system: Be brief.
    examples:
      - {input: {text: a long text}, output: short}
      - {input: As it is, output: {b: [1, true], a: ü}}
"""


class Project:
    """A folder with prompts, and the registry of it."""

    def __init__(self, root: Path, backend: str) -> None:
        self.root = root
        self.backend = backend
        self.write("prompts/summarise.yaml", SUMMARISE)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def edit(self, old: str, new: str) -> None:
        path = self.root / "prompts/summarise.yaml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    @property
    def registry(self) -> PromptRegistry:
        return PromptRegistry.from_config(
            PromptRegistryConfig(backend=self.backend), self.root, count_tokens=lambda text: len(text.split())
        )

    @property
    def index(self) -> Path:
        return self.root / ("prompts/index.sqlite" if self.backend == "sqlite" else "prompts/index.yaml")


BACKENDS = ("git_yaml", "local_yaml", "sqlite")


@pytest.fixture(params=BACKENDS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with each of the backends in turn."""
    return Project(tmp_path, request.param)


@pytest.fixture
def yaml_project(tmp_path: Path) -> Project:
    """A project whose index is a YAML file."""
    return Project(tmp_path, "git_yaml")


@pytest.fixture
def sqlite_project(tmp_path: Path) -> Project:
    """A project whose index is a SQLite file."""
    return Project(tmp_path, "sqlite")
