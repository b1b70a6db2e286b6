"""What one fault is: what the server does, how the model is set up, and what its caller is to get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from faults.acts import ANSWER, Act
from fmf_core.errors import Code
from peers.raw_server import Peer

ATTEMPTS = 3
"""The budget of a call unless its fault says otherwise."""
LATE_S = 0.3
"""`timeout_s` where the server is too slow."""
NEVER_LATE_S = 10.0
"""`timeout_s` where no time-out is wanted, however busy the machine."""


@dataclass(frozen=True)
class Expected:
    """What the caller is to get, and what it may cost."""

    code: Code | None
    """Of the error; `None` is an answer."""
    attempts: int
    requests: int | None = None
    """What the server counts; without it as many as there were attempts."""
    text: str = ""
    """The answer, or what had been handed out before the error."""
    says: str = ""
    """A part of the error's message."""
    hint: str = ""
    """A part of the error's hint."""


def answers(attempts: int = 1, *, text: str = ANSWER) -> Expected:
    """The caller gets an answer."""
    return Expected(None, attempts, text=text)


def fails(code: Code, attempts: int | None = None, **more: Any) -> Expected:
    """The caller gets an error; what may succeed later has used up its budget by then."""
    later = code in {Code.RATE_LIMIT, Code.TIMEOUT, Code.UNAVAILABLE}
    return Expected(code, (ATTEMPTS if later else 1) if attempts is None else attempts, **more)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    name: str
    acts: tuple[Act, ...]
    """What the server does to the first request, the second and so on; the last one for ever."""
    whole: Expected | None
    """When the answer is asked for as a whole; `None` when that makes no sense."""
    stream: Expected | None
    """When it is asked for in pieces."""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Of the model, beside those that all have."""
    at_least_s: float = 0.0
    """How long the call must have waited."""
    greeting: Callable[[Peer], object] | None = None
    """What the server does to a connection before it reads any request."""
    certificate: str | None = None
    """With which the server proves who it is; `None` is a server without TLS."""
    at: str = "http://127.0.0.1:{port}/v1"
    """Where the model looks for the server."""
    listens: bool = True
    """Whether there is a server at first."""
    before: Act | None = None
    """What the server does to a call that is made, and well, before the one that counts."""

    @property
    def cases(self) -> tuple[tuple[str, Expected], ...]:
        """How it is asked, with what is to come of it."""
        both = (("whole", self.whole), ("stream", self.stream))
        return tuple((asked, expected) for asked, expected in both if expected is not None)

    @property
    def timeout_s(self) -> float:
        """Of one attempt."""
        return float(self.settings.get("timeout_s", NEVER_LATE_S))

    @property
    def budget(self) -> int:
        """The most attempts there may be."""
        return int(self.settings.get("retry", {}).get("max_attempts", ATTEMPTS))


def fault(name: str, *acts: Act, both: Expected, **more: Any) -> Fault:
    """A fault that is the same for a whole answer and for a stream."""
    return Fault(name, acts, both, both, **more)


def of_stream(name: str, *acts: Act, gets: Expected, **more: Any) -> Fault:
    """A fault that only a stream can have."""
    return Fault(name, acts, None, gets, **more)
