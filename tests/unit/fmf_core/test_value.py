from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest
from pydantic import BaseModel, ValidationError

from fmf_core.value import InOrder, Value


def kinds(base: type[Value]) -> Iterator[type[Value]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


class Point(Value):
    x: int
    y: int = 0


def test_is_frozen_strict_about_names_and_equal_by_value():
    point = Point(x=1)
    assert point == Point(x=1, y=0)
    assert hash(point) == hash(Point(x=1))
    with pytest.raises(ValidationError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Point(x=1, z=2)  # type: ignore[call-arg]


def test_copies_are_those_of_pydantic():
    point = Point(x=1)
    general = BaseModel.model_copy(point, update={"y": 2})
    for copied in (
        copy.copy(point),
        point.model_copy(),
        point.model_copy(deep=True),
        pickle.loads(pickle.dumps(point)),
    ):
        assert copied == point
        assert copied is not point
        assert copied.__dict__ is not point.__dict__
        assert copied.model_fields_set == {"x"}
        assert copied.model_dump(exclude_unset=True) == {"x": 1}
    moved = point.model_copy(update={"y": 2})
    assert moved == general == Point(x=1, y=2)
    assert moved.model_fields_set == general.model_fields_set == {"x", "y"}
    assert repr(moved) == repr(general)
    assert (point.y, point.model_fields_set) == (0, {"x"})
    assert point.model_copy(update={"y": 3}, deep=True) == Point(x=1, y=3)


def test_trusted_fields_make_the_same_record():
    assert Point.trusted(x=1, y=0) == Point(x=1)
    assert hash(Point.trusted(x=1, y=0)) == hash(Point(x=1))
    with pytest.raises(ValidationError):
        Point.trusted(x=1, y=0).x = 2  # type: ignore[misc]


class Open(Value, extra="allow"):
    x: int


def test_copies_keep_what_an_open_record_was_given_besides():
    opened = Open(x=1, more=2)
    assert copy.copy(opened).more == 2
    moved = opened.model_copy(update={"x": 3, "most": 4})
    assert moved.model_dump() == {"x": 3, "more": 2, "most": 4}
    assert opened.model_dump() == {"x": 1, "more": 2}


def test_no_record_has_private_attributes():
    for package in ("fmf_core", "chatmodels", "generative_ai_workflow", "fmf"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    found = list(kinds(Value))
    assert len(found) > 50
    assert [kind for kind in found if kind.__private_attributes__] == []


class Piece(InOrder):
    in_order = ("text", "end")
    text: str
    end: str | None = None
    more: int = 0


def test_fields_may_be_given_in_their_order():
    assert Piece("a") == Piece(text="a")
    whole = {"text": "a", "end": "b", "more": 1}
    assert Piece("a", "b", more=1) == Piece("a", end="b", more=1) == Piece.model_validate(whole)
    assert Piece("a").model_fields_set == {"text"}


@pytest.mark.parametrize(
    ("given", "named"),
    [(("a", "b", 1), {}), (("a",), {"text": "b"}), ((), {}), ((1,), {}), (("a",), {"x": 1})],
    ids=["too many", "twice", "none", "wrong type", "unknown"],
)
def test_what_cannot_be_given_in_order_is_refused(given, named):
    with pytest.raises((TypeError, ValidationError)):
        Piece(*given, **named)
