from __future__ import annotations

import pytest
from pydantic import ValidationError

from fmf_core.value import Value


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
