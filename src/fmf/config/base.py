"""What every section of fmf.yaml is made of, and how an item finds the model of its `type`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from fmf.config.kinds import known_types
from fmf_core.value import Value

Name = Annotated[str, Field(min_length=1)]
"""A name that other parts of the configuration refer to."""


class Section(Value):
    """A part of fmf.yaml: frozen, and an unknown key in it is a fault."""

    other_words: ClassVar[Mapping[str, str]] = {}
    """What people write instead of a key, and the key that the fault then names."""


class OpenSection(Section):
    """A named thing of a type that somebody else publishes: its further keys are that type's own arguments."""

    model_config = ConfigDict(extra="allow")

    name: Name
    """What the rest of the configuration calls it."""
    type: Name
    """The name under which its plugin is registered."""

    def arguments(self) -> dict[str, Any]:
        """The plugin's own arguments: every key except `name` and `type`."""
        return dict(self.model_extra or {})


def tag_of(kind: str, shipped: Collection[str]) -> Callable[[Any], str]:
    """The function that tells which model of a union validates an item: the one of its `type`, or `plugin`.

    Args:
        kind: the kind of plugin, as in `fmf.config.kinds`.
        shipped: the types that have a model of their own.
    """

    def tag(item: Any) -> str:
        found = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
        if isinstance(found, str) and found not in shipped and found in known_types(kind):
            return "plugin"
        return found if isinstance(found, str) else repr(found)

    return tag


def twice(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, each once, in the order of their second occurrence."""
    seen: set[str] = set()
    again: dict[str, None] = {}
    for name in names:
        if name in seen:
            again[name] = None
        seen.add(name)
    return list(again)
