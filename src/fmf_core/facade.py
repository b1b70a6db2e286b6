"""A package's front: public names that are imported from their homes when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def facade(package: str, homes: Mapping[str, str]) -> None:
    """Let a package show names without importing their homes: sets its `__all__`, `__getattr__` and `__dir__`.

    Importing the package then costs a millisecond instead of a tenth of a second, and `from package import name` what
    that name needs. Tools that read code cannot follow it: they are told by imports under `TYPE_CHECKING`, which a test
    holds against this table.

    Args:
        package: the package's `__name__`.
        homes: a module to the names that it gives, separated by spaces; `shown=name` shows one under another name.
    """
    places = {}
    for module, names in homes.items():
        for name in names.split():
            shown, _, attribute = name.partition("=")
            places[shown] = (module, attribute or shown)
    front = sys.modules[package]

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = places[name]
        value = getattr(import_module(module), attribute)
        setattr(front, name, value)  # the next look-up finds it without coming here
        return value

    vars(front).update(__all__=sorted(places), __getattr__=get, __dir__=lambda: sorted({*vars(front), *places}))
