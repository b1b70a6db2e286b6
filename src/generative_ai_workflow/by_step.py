"""Facts of a run by step: kept under the ids of the steps, and found by their names as well."""

from __future__ import annotations

from typing import Any


class ByStep(dict[str, Any]):
    """Facts by step id that can be asked for by step name as well.

    Under an id stands the sum over all records of that step: the items of a loop share one. Under a name, such as
    `note[2]`, stands what belongs to the records of that name alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_name: dict[str, Any] = {}

    def add(self, step_id: str, name: str, fact: Any) -> None:
        """Count `fact` for the step with this id and for its records with this name."""
        for table, key in ((self, step_id), (self._by_name, name)):
            known = dict.get(table, key)
            table[key] = fact if known is None else known + fact

    def __missing__(self, name: str) -> Any:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._by_name

    def get(self, name: str, default: Any = None) -> Any:
        """The fact of the step with this id or name."""
        return self[name] if name in self else default  # noqa: SIM401 - get is what is defined here
