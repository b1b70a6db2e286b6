"""Substitution in a single pass: `{{ name }}` in prompts, `${dotted.path}` in the values that feed them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from fmf_core.logs import get_logger
from fmf_core.nearest import known_hint
from generative_ai_workflow.exceptions import DefinitionError, TemplateError
from generative_ai_workflow.reference import ReferenceText, text_of

__all__ = ["ReferenceText", "Suspect", "Syntax", "Template", "suspects_in", "warn_of_suspects"]

_log = get_logger("generative_ai_workflow")

Syntax = Literal["both", "double"]

_IDENTIFIER = r"[^\W\d]\w*"
_DOUBLE = re.compile(r"\{\{[ \t\r\n]{0,32}(" + _IDENTIFIER + r")[ \t\r\n]{0,32}\}\}")
_BOTH = re.compile(_DOUBLE.pattern + r"|\{(" + _IDENTIFIER + r")\}")
_CALL = r"(?:\([^{}()]{0,200}\))?"
_TAIL = (
    rf"(?:\.(?:{_IDENTIFIER}|\d+){_CALL}|[ \t\r\n]{{0,8}}\|[ \t\r\n]{{0,8}}{_IDENTIFIER}{_CALL}"
    r"|\[[^{}\[\]]{0,200}\])"
)
# Only what can be read as a path, an index or a filter to its end: `{{Hello. World}}` is a sentence.
_SUSPECT = re.compile(r"\{\{[ \t\r\n]{0,32}(" + _IDENTIFIER + _TAIL + r"{1,32})[ \t\r\n]{0,32}\}\}")


class Suspect(NamedTuple):
    """What looks like a place and is none, such as `{{ user.name }}`: the model reads it as it stands."""

    text: str
    """What was written."""
    hint: str
    """What to write instead."""

    @property
    def complaint(self) -> str:
        """What is wrong with it."""
        return f"{self.text} would reach the model as it stands, for a place is one name"


def suspects_in(text: str) -> tuple[Suspect, ...]:
    """What in the template `text` looks like a place with a path, a filter or an index, each once."""
    if "{{" not in text:
        return ()
    # Whoever writes of `__class__` means the words: there is nothing of that kind to refer to.
    found = [match for match in _SUSPECT.finditer(text) if "__" not in match[1]]
    return tuple(dict.fromkeys(Suspect(match[0], f"{_instead(match[1])}; {_as_it_is(match[0])}") for match in found))


def _as_it_is(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"to say it as it stands: {{{{ example }}}}, and inputs: {{example: '{quoted}'}}"


def _instead(inside: str) -> str:
    try:
        [path] = ReferenceText(f"${{{inside}}}").references
    except DefinitionError:
        path = ()
    if not path or "|" in inside or any(part.isdecimal() for part in path):
        return "it has no filters and no indexes: let an earlier step make the value"
    name = path[-1] if path[-1].isidentifier() else path[0]
    return f"write {{{{ {name} }}}}, and inputs: {{{name}: '${{{inside}}}'}}"


class Template:
    """A prompt with places to fill.

        Template("Sum up: {{ text }}").render({"text": "a {b} c"})   # "Sum up: a {b} c"

    Only identifiers in braces are places; all other braces, such as those of JSON, stay as they are; `suspects` has
    those that may be meant otherwise. What is filled in is never scanned again, and no attribute of a value can be
    reached.

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

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """What looks like a place and stays as it is: `{{ user.name }}`, `{{ text|upper }}`, `{{ rows[0] }}`."""
        return suspects_in(self.text)

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


def warn_of_suspects(step: str, *templates: Template | None) -> None:
    """Log one line about everything in the templates of `step` that looks like a place and is none."""
    found = [suspect for template in templates if template is not None for suspect in template.suspects]
    if found:
        text = ", ".join(suspect.text for suspect in found)
        hint = "; ".join(dict.fromkeys(suspect.hint for suspect in found))
        _log.warning("template.unfilled", step=step, text=text, hint=hint)


def _pattern(syntax: Syntax) -> re.Pattern[str]:
    if syntax == "both":
        return _BOTH
    if syntax == "double":
        return _DOUBLE
    raise DefinitionError(f"unknown template syntax {syntax!r}", op="template", hint="known: both, double")
