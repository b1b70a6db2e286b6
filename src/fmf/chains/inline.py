"""References that stand in a prompt's own text: each becomes a name of its template, so nothing is scanned twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fmf_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class InlineText:
    """A template without references, and the references that fill its new names."""

    template: str
    inputs: dict[str, str] = field(default_factory=dict)
    """Name to the reference as it was written."""


def without_references(text: str, prefix: str) -> InlineText:
    """Turn every `${...}` of `text` into a name; what cannot be read as a reference stays as it is.

    Only for texts that the author of the chain wrote into the chain itself. `$${` stands for `${`.

    Args:
        text: the template as it was written.
        prefix: what the new names begin with.
    """
    inputs: dict[str, str] = {}
    template: list[str] = []
    for part, is_reference in _parts(text):
        if not is_reference:
            template.append(part)
            continue
        name = f"{prefix}_{len(inputs) + 1}"
        inputs[name] = part
        template.append(f"{{{{ {name} }}}}")
    return InlineText("".join(template), inputs)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    position = 0
    while (start := text.find("${", position)) >= 0:
        if text[start - 1 : start] == "$":
            yield text[position : start - 1] + "${", False
            position = start + 2
            continue
        yield text[position:start], False
        end = _end_of_reference(text, start)
        yield (text[start:end], True) if end else ("${", False)
        position = end or start + 2
    yield text[position:], False


def _end_of_reference(text: str, start: int) -> int | None:
    """Where the reference that begins at `start` ends; a `}` may also stand in quotes inside it."""
    from generative_ai_workflow.reference import ReferenceText

    line_end = text.find("\n", start)
    limit = len(text) if line_end < 0 else line_end
    end = text.find("}", start)
    while 0 <= end < limit:
        try:
            ReferenceText(text[start : end + 1])
        except ConfigurationError:
            end = text.find("}", end + 1)
        else:
            return end + 1
    return None
