"""How the values of a run are compared: plain data only, at a bounded cost, and never by the code of a value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

MOST_LOOKS = 1_000_000
"""How much one decision may look at: an item of a list is one look, a text one for every 100 characters."""
DEEPEST_VALUE = 64
"""How deep lists and mappings may be nested where they are compared."""

_TEXT_PER_LOOK = 100
_DIGITS_PER_LOOK = 1_000
_SCALARS = frozenset({str, int, float, bool, type(None), bytes, Decimal, datetime, date, time, timedelta})
_CHEAP = _SCALARS - {str, bytes}
_ROOTS = (str, int, float, bytes)
_LISTS = (list, tuple)
_SETS = (set, frozenset)
_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Judge:
    """Compares values as Python does, as long as they are plain data.

    Plain are texts, numbers, truth values, null, dates, and lists, sets and mappings of these. One judge decides one
    condition; what its comparisons cost is added up.

    Args:
        looks: how much may be looked at in all.
    """

    __slots__ = ("_left", "_looks")

    def __init__(self, looks: int = MOST_LOOKS) -> None:
        self._looks = self._left = looks

    def compare(self, sign: str, left: Any, right: Any) -> bool:
        """Whether `left sign right` holds; `sign` is one of `== != < <= > >= in` and `not in`.

        Raises:
            TypeError: the values cannot be compared like that.
            ValueError: it takes more looks than are left.
        """
        if sign == "==":
            return self._same(left, right, 0)
        if sign == "!=":
            return not self._same(left, right, 0)
        if sign in _ORDER:
            return self._ordered(sign, left, right, 0)
        return self._inside(left, right) is (sign == "in")

    def truth(self, value: Any) -> bool:
        """Whether `value` counts as true: as in Python, for plain data.

        Raises:
            TypeError: it is a thing with a mind of its own.
        """
        value = _plain(value)
        kind = type(value)
        if kind in _SCALARS or isinstance(value, (*_LISTS, *_SETS, dict)):
            return bool(value)
        if isinstance(value, Mapping):
            return len(value) > 0
        if hasattr(kind, "__bool__") or hasattr(kind, "__len__"):
            raise TypeError(f"a value of type {kind.__name__} is neither true nor false")
        return True

    @staticmethod
    def length(value: Any) -> int:
        """How many characters, items or keys `value` has.

        Raises:
            TypeError: it has none of these.
        """
        if not isinstance(value, str | list | tuple | set | frozenset | Mapping):
            raise TypeError(f"a value of type {type(value).__name__} has no length")
        return len(value)

    def _pay(self, looks: int) -> None:
        self._left -= looks
        if self._left < 0:
            raise ValueError(f"the values are too large: it may look at {self._looks:,} items in all")

    def _same(self, left: Any, right: Any, depth: int) -> bool:
        left, right = _plain(left), _plain(right)
        if left is None or right is None:
            return left is right
        kinds = (type(left), type(right))
        if kinds[0] in _SCALARS and kinds[1] in _SCALARS:
            self._pay_for(left, right)
            return bool(left == right)
        _check_depth(depth)
        for group in _LISTS:
            if isinstance(left, group) and isinstance(right, group):
                return self._same_lists(left, right, depth)
        if isinstance(left, _SETS) and isinstance(right, _SETS):
            self._check_set(left)
            self._check_set(right)
            return bool(left == right)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            return self._same_mappings(left, right, depth)
        _check_plain(left)
        _check_plain(right)
        return False

    def _same_lists(self, left: Sequence[Any], right: Sequence[Any], depth: int) -> bool:
        if len(left) != len(right):
            return False
        self._pay(len(left))
        if {*map(type, left), *map(type, right)} <= _CHEAP:
            return list(left) == list(right)
        return all(self._alike(one, other, depth + 1) for one, other in zip(left, right, strict=True))

    def _same_mappings(self, left: Mapping[Any, Any], right: Mapping[Any, Any], depth: int) -> bool:
        if len(left) != len(right):
            return False
        self._pay(len(left))
        for key, value in left.items():
            if key not in right or not self._alike(value, right[key], depth + 1):
                return False
        return True

    def _alike(self, one: Any, other: Any, depth: int) -> bool:
        """Whether two items are the same to the list that holds them: one that is not equal to itself is, there."""
        return one is other or self._same(one, other, depth)

    def _ordered(self, sign: str, left: Any, right: Any, depth: int) -> bool:
        left, right = _plain(left), _plain(right)
        if type(left) in _SCALARS and type(right) in _SCALARS:
            self._pay_for(left, right)
            return bool(_ORDER[sign](left, right))
        for group in _LISTS:
            if isinstance(left, group) and isinstance(right, group):
                return self._ordered_lists(sign, left, right, depth)
        if isinstance(left, _SETS) and isinstance(right, _SETS):
            self._check_set(left)
            self._check_set(right)
            return bool(_ORDER[sign](left, right))
        raise TypeError(f"{sign!r} is not supported between {_kind(left)} and {_kind(right)}")

    def _ordered_lists(self, sign: str, left: Sequence[Any], right: Sequence[Any], depth: int) -> bool:
        _check_depth(depth)
        self._pay(min(len(left), len(right)))
        for one, other in zip(left, right, strict=False):
            if not self._alike(one, other, depth + 1):
                return self._ordered(sign, one, other, depth + 1)
        return bool(_ORDER[sign](len(left), len(right)))

    def _inside(self, item: Any, whole: Any) -> bool:
        item, whole = _plain(item), _plain(whole)
        if type(whole) is str:
            if type(item) is not str:
                raise TypeError(f"only a text can be in a text, not {_kind(item)}")
            self._pay(len(whole) // _TEXT_PER_LOOK)
            return item in whole
        if isinstance(whole, _LISTS):
            return self._in_list(item, whole)
        if isinstance(whole, Mapping | set | frozenset):
            _check_plain(item)
            return item in whole
        raise TypeError(f"nothing can be in {_kind(whole)}")

    def _in_list(self, item: Any, whole: Sequence[Any]) -> bool:
        self._pay(len(whole))
        if type(item) in _SCALARS and set(map(type, whole)) <= _SCALARS:
            if isinstance(item, str | bytes) and len(item) >= _TEXT_PER_LOOK:
                alike = sum(1 for other in whole if type(other) is type(item) and len(other) == len(item))
                self._pay(alike * (len(item) // _TEXT_PER_LOOK))
            return item in whole
        return any(self._alike(item, other, 1) for other in whole)

    def _check_set(self, value: Any) -> None:
        self._pay(len(value))
        for item in value:
            if type(item) not in _SCALARS and not isinstance(item, tuple | frozenset):
                raise TypeError(f"a value of type {type(item).__name__} cannot be compared")

    def _pay_for(self, left: Any, right: Any) -> None:
        if type(left) is type(right) and type(left) in (str, bytes):
            self._pay(min(len(left), len(right)) // _TEXT_PER_LOOK)
        elif type(left) is int and type(right) is int:
            self._pay(min(left.bit_length(), right.bit_length()) // (3 * _DIGITS_PER_LOOK))


def _plain(value: Any) -> Any:
    """`value` as what it is at root: a text of a class of its own is a text, whatever its class says of equality."""
    if type(value) in _SCALARS:
        return value
    if not isinstance(value, _ROOTS):
        # The numbers of numpy and its like.
        return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value
    if isinstance(value, str):
        return str.__getitem__(value, slice(None))
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    return int.__pos__(value) if isinstance(value, int) else float.__pos__(value)


def _check_plain(value: Any) -> None:
    if type(value) in _SCALARS or isinstance(value, (*_LISTS, *_SETS, Mapping)):
        return
    raise TypeError(f"a value of type {type(value).__name__} cannot be compared")


def _check_depth(depth: int) -> None:
    if depth > DEEPEST_VALUE:
        raise ValueError(f"the values are nested deeper than {DEEPEST_VALUE}")


def _kind(value: Any) -> str:
    return "null" if value is None else f"a value of type {type(value).__name__}"
