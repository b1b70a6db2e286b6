"""A request as a recording knows it: what of it is written, what makes it the same as another, what is blanked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from chatmodels.errors import ChatModelError
from chatmodels.request_facts import SETTINGS, canonical, request_facts
from chatmodels.types import ChatRequest
from fmf_core.errors import Code
from fmf_core.forks import Lock
from fmf_core.redact import redact_value


class OnTape(NamedTuple):
    """One request."""

    facts: Mapping[str, Any]
    """What stands on the tape: all that decides the answer, and no secrets."""
    given: frozenset[str] = frozenset()
    """The settings that the request itself chose; others are what a model happened to be set to."""
    original: bytes | None = None
    """A hash of what `key` is of before secrets were blanked, where any were; it is written nowhere."""

    @property
    def key(self) -> str:
        """What requests for the same answer have in common, whatever their settings."""
        return key_of(self.facts)

    def agrees(self, recorded: Mapping[str, Any]) -> bool:
        """Whether the settings that it chose are those of a recorded request."""
        return all(self.facts.get(name) == recorded.get(name) for name in self.given)

    def compared(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `facts` that are compared with it."""
        return {name: fact for name, fact in facts.items() if name in self.given or name not in SETTINGS}


def on_tape(request: ChatRequest) -> OnTape:
    """What a recording knows of `request`.

    Raises:
        ChatModelError: something in it is no JSON.
    """
    try:
        facts = request_facts(request)
        blanked: dict[str, Any] = blanked_of(facts)
        json.dumps(blanked)
        secret = blanked != facts
        original = sha256(key_of(facts).encode("utf-8", "surrogatepass")).digest() if secret else None
    except (ValueError, TypeError, RecursionError) as error:
        raise ChatModelError(
            f"the request cannot stand in a recording: {error}",
            op="recording.request",
            code=Code.INVALID,
            hint="give JSON values in extra_params and in the arguments of tool calls",
        ) from error
    return OnTape(blanked, frozenset(SETTINGS) & request.model_fields_set, original)


def key_of(facts: Mapping[str, Any]) -> str:
    """What recorded requests for the same answer have in common."""
    return canonical({name: fact for name, fact in facts.items() if name not in SETTINGS})


def blanked_of(value: Any) -> Any:
    """`value` without secrets; numbers stay, for no text that is a secret reads as one."""
    return _with_numbers(redact_value(value), value)


def _with_numbers(blanked: Any, value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict) and isinstance(blanked, dict) and len(value) == len(blanked):
        pairs = zip(blanked.items(), value.values(), strict=True)
        return {key: _with_numbers(item, original) for (key, item), original in pairs}
    if isinstance(value, list) and isinstance(blanked, list):
        return [_with_numbers(item, original) for item, original in zip(blanked, value, strict=True)]
    return blanked


class Originals:
    """The requests of one recording before they were blanked: those that only secrets tell apart are told of.

    Nothing that could be written down would tell them apart and not help to guess the secrets.
    """

    def __init__(self, recording: object) -> None:
        self._recording = recording
        self._known: dict[str, bytes] = {}
        self._lock = Lock()

    def check(self, asked: OnTape, op: str) -> None:
        """Remember `asked`.

        Raises:
            ChatModelError: another request was the same but for what is blanked.
        """
        if asked.original is None:
            return
        with self._lock():
            known = self._known.setdefault(asked.key, asked.original)
        if known != asked.original:
            raise ChatModelError(
                f"two requests that differ only in what looks like a secret are one in the recording {self._recording}",
                op=op,
                code=Code.INVALID,
                hint="take the secret out of the prompt, or let the two differ in something else as well",
            )
