"""What changed between two prompts, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fmf.prompts.prompt import Prompt


def unified_diff(old: Prompt, new: Prompt) -> str:
    """The differences in template, system text and examples; empty when the model sees the same."""
    lines: list[str] = []
    for section, before, after in (
        ("system", _lines(old.system or ""), _lines(new.system or "")),
        ("template", _lines(old.template), _lines(new.template)),
        ("examples", _example_lines(old), _example_lines(new)),
    ):
        lines += difflib.unified_diff(before, after, f"{old.ref} {section}", f"{new.ref} {section}", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _lines(text: str) -> list[str]:
    return text.splitlines()


def _example_lines(prompt: Prompt) -> list[str]:
    return list(_flat(prompt.examples))


def _flat(examples: Iterable[tuple[str, str]]) -> Iterable[str]:
    for question, answer in examples:
        yield from (f"user: {line}" for line in question.splitlines())
        yield from (f"assistant: {line}" for line in answer.splitlines())
