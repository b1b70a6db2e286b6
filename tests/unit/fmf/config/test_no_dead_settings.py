"""Every setting is read somewhere, or stands in the table of those that have no effect yet.

That the settings of a chat model also arrive there is held by `fmf/inference/test_every_setting.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import fmf
from fmf.config.planned import PLANNED
from fmf.config.schema import choices

SOURCE = Path(fmf.__file__).parent.parent
SCHEMA = SOURCE / "fmf" / "config"
DECLARING = {"models.py", "auth.py", "connectors.py", "export.py", "inference.py", "processing.py", "providers.py"}


READ_BY_NAME = {"run_profile", "profiles"}
"""What the layers of the settings read as keys, before there is a configuration."""


def attributes_read() -> set[str]:
    """Every name that the source reads as an attribute, outside the files that declare the settings."""
    found: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        if file.parent == SCHEMA and file.name in DECLARING:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return found


def planned(leaf: str) -> bool:
    return any(leaf == path or leaf.startswith((f"{path}.", f"{path}[")) for path in PLANNED)


def test_no_setting_is_dead():
    read = attributes_read() | READ_BY_NAME
    dead = [leaf for leaf in choices() if not planned(leaf) and leaf.rpartition(".")[2] not in read]
    assert dead == []
