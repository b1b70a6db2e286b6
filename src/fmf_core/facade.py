"""A package's front: public names that are imported from their homes when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def facade(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The module functions `__getattr__` and `__dir__` of a package that shows names without importing their homes.

    Importing the package then costs a millisecond instead of a tenth of a second, and `from package import name` what
    that name needs.

    Args:
        package: the package's `__name__`.
        homes: public name to `"module:attribute"`.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = homes[name].partition(":")
        value = getattr(import_module(module), attribute)
        setattr(sys.modules[package], name, value)  # the next look-up finds it without coming here
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *homes})
