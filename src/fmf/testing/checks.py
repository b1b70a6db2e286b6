"""What the exams share: a condition that must hold, and an error that must come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

E = TypeVar("E", bound=Exception)


def expect(condition: bool, otherwise: str) -> None:
    """Raise `AssertionError` with the message `otherwise` unless `condition` holds."""
    if not condition:
        raise AssertionError(otherwise)


def failure_of(kind: type[E], call: Callable[[], object]) -> E:
    """The error of that kind with which `call` fails; `AssertionError` where it does not, or in another way."""
    try:
        given = call()
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"expected a {kind.__name__}, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"expected a {kind.__name__}, got {given!r}")
