"""Facts of a run by step: kept under the ids of the steps, and found by their names as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ByStep(dict[str, Any]):
    """Facts by step id that can be asked for by step name as well."""

    def __init__(self, facts: Mapping[str, Any] | None = None, ids: Mapping[str, str] | None = None) -> None:
        super().__init__(facts or {})
        self._ids = dict(ids or {})

    def __missing__(self, name: str) -> Any:
        if name in self._ids:
            return self[self._ids[name]]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or super().__contains__(self._ids.get(str(name)))

    def get(self, name: str, default: Any = None) -> Any:
        """The fact of the step with this id or name."""
        return self[name] if name in self else default  # noqa: SIM401 - get is what is defined here
