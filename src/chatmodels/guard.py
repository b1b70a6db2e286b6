"""A switch that forbids requests to real models, asked by every provider right before it makes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chatmodels.errors import ChatModelError
from fmf_core.errors import Code
from fmf_core.forks import Lock

# One switch for the whole process and not a context variable: a request may be made by any thread or event loop.
_lock = Lock()
_switches: list[bool] = []


class RequestForbiddenError(ChatModelError):
    """A request to a real model was attempted while such requests are forbidden; nothing was sent."""

    default_code = Code.UNSUPPORTED
    was_asked = False


def check_allowed(provider: str, model: str = "") -> None:
    """Raise when requests to real models are forbidden; providers call this before every request that they make.

    Raises:
        RequestForbiddenError: `forbid_model_requests()` is in force; the code is `Code.UNSUPPORTED`.
    """
    if _switches and not _switches[-1]:
        raise RequestForbiddenError(
            f"a request to {provider!r}" + (f" (model {model!r})" if model else "") + " was attempted while forbidden",
            op=f"{provider}.request",
            hint="use MockChatModel or ReplayModel here, or leave forbid_model_requests()",
            fields={"provider": provider, "model": model},
        )


@contextmanager
def switched(*, allowed: bool) -> Iterator[None]:
    """Allow or forbid requests inside the block, in every thread; the innermost block decides."""
    with _lock():
        _switches.append(allowed)
    try:
        yield
    finally:
        with _lock():
            # The last equal entry: blocks of different threads may end in another order than they began.
            del _switches[len(_switches) - 1 - _switches[::-1].index(allowed)]
