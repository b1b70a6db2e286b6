"""The base of every immutable record that crosses a boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from fmf_core.forks import Lock

V = TypeVar("V", bound="Value")


class Value(BaseModel):
    """A frozen record that refuses unknown fields; its schema is built on first use to keep imports quick.

    Subclasses have no private attributes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, arbitrary_types_allowed=True)

    @classmethod
    def trusted(cls, **fields: Any) -> Self:
        """The record of `fields`, all of them and all checked where they come from: nothing is checked here."""
        return record(cls, fields)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """This record with `update`, which is not checked."""
        if deep or self.__pydantic_extra__ is not None:
            return super().model_copy(update=update, deep=deep)
        copied = self.__copy__()
        if update:
            copied.__dict__.update(update)
            copied.__pydantic_fields_set__.update(update)
        return copied

    def __copy__(self) -> Self:
        if self.__pydantic_extra__ is not None:
            return super().__copy__()
        return record(type(self), self.__dict__.copy(), self.__pydantic_fields_set__.copy())


class InOrder(Value):
    """A record whose first fields may be given without their names, in the order of `in_order`."""

    in_order: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *given: Any, **fields: Any) -> None:
        if len(given) > len(self.in_order):
            known = ", ".join(self.in_order)
            raise TypeError(f"{type(self).__name__} takes {known} in this order, and everything else by name")
        super().__init__(**dict(zip(self.in_order, given, strict=False)), **fields)


class LateValue(Value):
    """A record whose fields in `late` are made when somebody looks at them, which most callers never do."""

    __slots__ = ("_later",)
    late: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def written_later(cls, fields: dict[str, Any], later: Callable[[], Mapping[str, Any]]) -> Self:
        """The record of `fields`.

        Args:
            fields: all fields but the late ones, in the declared order.
            later: gives the late ones; called once at most.
        """
        given = _all_fields.get(cls)
        if given is None:
            given = _all_fields[cls] = set(cls.model_fields)
        # One set for all: whoever copies a record copies it.
        made = record(cls, fields, given)
        _put_later(made, later)
        return made

    # Whatever pydantic does with a record (dumping, comparing, copying, pickling) begins with its `__dict__`.
    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            try:
                if _later_of(self) is not None:
                    self._fill()
            except AttributeError:  # made by pydantic, with all its fields
                pass
            return _fields_of(self)

        @__dict__.setter
        def __dict__(self, fields: dict[str, Any]) -> None:
            _put_later(self, None)
            _put_fields(self, fields)

        def __getattr__(self, name: str) -> Any:
            if name in type(self).late:
                return self.__dict__[name]
            return super().__getattr__(name)

    def _fill(self) -> None:
        with _filling():
            later = _later_of(self)
            if later is not None:
                _fields_of(self).update(later())
                _put_later(self, None)


_all_fields: dict[type, set[str]] = {}
_filling = Lock(reentrant=True)
_later_of, _put_later = LateValue.__dict__["_later"].__get__, LateValue.__dict__["_later"].__set__
_fields_of = BaseModel.__dict__["__dict__"].__get__
_slots: Mapping[str, Any] = BaseModel.__dict__
_put_fields, _put_given = _slots["__dict__"].__set__, _slots["__pydantic_fields_set__"].__set__
_put_extra, _put_private = _slots["__pydantic_extra__"].__set__, _slots["__pydantic_private__"].__set__


def record(kind: type[V], fields: dict[str, Any], given: set[str] | None = None) -> V:
    """A `kind` that has `fields` for its own, all of them and in the declared order; nothing is checked here.

    Args:
        kind: the class of the record.
        fields: every field of it.
        given: what `model_fields_set` says; default is all fields.
    """
    # Every call to a model makes and copies several records: this takes a third of the time of pydantic's own way.
    made = object.__new__(kind)
    _put_fields(made, fields)
    _put_given(made, set(fields) if given is None else given)
    _put_extra(made, None)
    _put_private(made, None)
    return made
