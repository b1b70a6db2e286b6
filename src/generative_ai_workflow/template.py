"""Substitution in a single pass: `{{ name }}` in prompts, `${dotted.path}` in the values that feed them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from fmf_core.nearest import known_hint
from generative_ai_workflow.exceptions import DefinitionError, TemplateError
from generative_ai_workflow.reference import ReferenceText, text_of

__all__ = ["ReferenceText", "Syntax", "Template"]

Syntax = Literal["both", "double"]

_IDENTIFIER = r"[^\W\d]\w*"
_DOUBLE = re.compile(r"\{\{[ \t\r\n]{0,32}(" + _IDENTIFIER + r")[ \t\r\n]{0,32}\}\}")
_BOTH = re.compile(_DOUBLE.pattern + r"|\{(" + _IDENTIFIER + r")\}")


class Template:
    """A prompt with places to fill.

        Template("Sum up: {{ text }}").render({"text": "a {b} c"})   # "Sum up: a {b} c"

    Only identifiers in braces are places; all other braces, such as those of JSON, stay as they are. What is filled in
    is never scanned again, and no attribute of a value can be reached.

    Args:
        text: the template.
        syntax: `"both"` knows `{{ name }}` and `{name}`, `"double"` only the first.
    """

    __slots__ = ("_parts", "names", "text")

    def __init__(self, text: str, syntax: Syntax = "both") -> None:
        pattern = _pattern(syntax)
        self.text = text
        # Literal text and names take turns: even places are text, odd ones are names.
        parts: list[str] = []
        end = 0
        for match in pattern.finditer(text):
            parts += (text[end : match.start()], match[match.lastindex or 1])
            end = match.end()
        self._parts = (*parts, text[end:])
        self.names: tuple[str, ...] = tuple(dict.fromkeys(self._parts[1::2]))
        """The names that the template mentions, each once, in the order of their first place."""

    def render(self, names: Mapping[str, Any]) -> str:
        """The text with every place filled from `names`.

        A string goes in as it is, a list of strings joined by blank lines, anything else as compact JSON.

        Raises:
            TemplateError: a name is missing; the message names it, the hint lists the known ones.
        """
        parts = self._parts
        if len(parts) == 1:
            return parts[0]
        filled = list(parts)
        try:
            for index in range(1, len(parts), 2):
                value = names[parts[index]]
                filled[index] = value if type(value) is str else text_of(value)
        except KeyError:
            raise self._missing(names) from None
        return "".join(filled)

    def _missing(self, names: Mapping[str, Any]) -> TemplateError:
        missing = [name for name in self.names if name not in names]
        return TemplateError(
            f"the template mentions {', '.join(map(repr, missing))}, which nothing provides",
            op="template.render",
            hint=known_hint(missing[0] if missing else "", sorted(map(str, names))),
        )

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _pattern(syntax: Syntax) -> re.Pattern[str]:
    if syntax == "both":
        return _BOTH
    if syntax == "double":
        return _DOUBLE
    raise DefinitionError(f"unknown template syntax {syntax!r}", op="template", hint="known: both, double")
