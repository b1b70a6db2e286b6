"""Writes a recorded call as YAML in which texts of several lines read as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

# What reads back as the same text under any version of YAML; everything else is quoted.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_/-]*(?: [A-Za-z_][A-Za-z0-9_/-]*)*")
_AS_IT_IS = re.compile(r"\S(?:[\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd])*")
_NO_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"})


def as_yaml(call: Mapping[str, Any]) -> str:
    """`call` as a YAML document, its keys in their order."""
    text = yaml.dump(call, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000, indent=2)
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Indents lists, writes no aliases, and keeps texts readable."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"'
    if "\n" in text and _AS_IT_IS.fullmatch(text):
        style = "|"
    elif _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        style = ""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
