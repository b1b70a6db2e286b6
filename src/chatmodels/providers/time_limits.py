"""The time limits that a provider is made with."""

from __future__ import annotations

from math import inf

from fmf_core.errors import ConfigurationError


def check_seconds(provider: str, **settings: float | None) -> None:
    """Refuse time limits that are none: `nan` would never be over, or be asked for again and again.

    Raises:
        ConfigurationError: one of the `settings` is no finite number above 0; `None` is no limit.
    """
    for name, value in settings.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < inf):
            raise ConfigurationError(
                f"chat model {provider!r}: {name} is {value!r}, and no time",
                op=f"{provider}.create",
                hint="give seconds: a finite number above 0",
            )
