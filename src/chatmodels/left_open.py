"""A record whose settings may be left open, filled in on its way, and left open again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

from pydantic import Field

from fmf_core.value import Value


class LeftOpen(Value):  # noqa: PLW1641 - pydantic makes the hash
    """What was given stands in `model_fields_set`; everything else is open, and may be filled in by who is asked."""

    views: ClassVar[frozenset[str]] = frozenset()
    """Fields that are derived from each other: who changes one of them leaves out the others."""
    filled_in: frozenset[str] = Field(default=frozenset(), exclude=True, repr=False)
    """Given settings that the caller left open and a model filled in, for another model that has its own.

    It says nothing about what is asked for, so no comparison, key, recording or provider sees it.
    """

    @property
    def given(self) -> dict[str, Any]:
        """The fields that were given."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "filled_in"}

    def filled(self, defaults: Mapping[str, Any], *, note: bool = False) -> Self:
        """This record with `defaults` for every setting that was not given; `note` tells so in `filled_in`."""
        given = self.model_fields_set
        missing = {name: value for name, value in defaults.items() if name not in given}
        if not missing:
            return self
        filled = Value.model_copy(self, update=missing)
        if note:
            filled.__dict__["filled_in"] = self.filled_in | missing.keys()
        return filled

    def standing_in(self, **values: Any) -> Self:
        """This record with `values` in settings that count as left open all the same."""
        made = super().model_copy(update=values)
        made.model_fields_set.difference_update(values)
        return made

    def without(self, names: Collection[str]) -> Self:
        """This record with the settings `names` left open."""
        opened = self.__copy__()
        for name in names:
            opened.__dict__[name] = type(self).model_fields[name].get_default(call_default_factory=True)
        opened.model_fields_set.difference_update(names)
        opened.__dict__["filled_in"] = self.filled_in.difference(names)
        return opened

    def remade(self, **changes: Any) -> Self:
        """This record with `changes`, checked as a whole."""
        left_out = self.views if self.views & changes.keys() else frozenset[str]()
        kept = {name: value for name, value in self.given.items() if name not in left_out}
        return type(self)(**{**kept, **changes})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """This record with `update`, which is not checked; what it changes was no longer filled in by a model."""
        copied = super().model_copy(update=update, deep=deep)
        if update and self.filled_in and "filled_in" not in update:
            copied.__dict__["filled_in"] = self.filled_in.difference(update)
        return copied

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LeftOpen) and self.filled_in != other.filled_in:
            other = other.model_copy(update={"filled_in": self.filled_in})
        return super().__eq__(other)
