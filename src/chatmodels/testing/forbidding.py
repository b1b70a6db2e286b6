"""A ban on requests to real models: for a block, a function, or a whole test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, aclosing
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from chatmodels.guard import switched

Function = TypeVar("Function", bound=Callable[..., Any])


class RequestSwitch:
    """Allows or forbids requests inside a block, or from the call of a decorated function to its end."""

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> Self:
        block = switched(allowed=self._allowed)
        block.__enter__()
        self._entered.append(block)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered.pop().__exit__(None, None, None)

    def __call__(self, function: Function) -> Function:
        """`function` inside the block; it may be async or a generator."""
        for is_kind, around in _AROUND:
            if is_kind(function):
                wrapped: Any = wraps(function)(around(function, self._allowed))
                return wrapped  # type: ignore[no-any-return]
        raise TypeError(f"only functions can be decorated, got {function!r}")


@overload
def forbid_model_requests() -> RequestSwitch: ...
@overload
def forbid_model_requests(function: Function) -> Function: ...
def forbid_model_requests(function: Function | None = None) -> RequestSwitch | Function:
    """Make every request of a real provider fail, in every thread; mock and replay go on answering.

    It holds in this process and its forks; a program that is started meanwhile knows nothing of it.

        with forbid_model_requests():
            ...

        @forbid_model_requests
        async def test_something(): ...

    Raises:
        ChatModelError: with `Code.UNSUPPORTED`, raised by the provider that was about to make the request.
    """
    switch = RequestSwitch(allowed=False)
    return switch if function is None else switch(function)


@overload
def allow_model_requests() -> RequestSwitch: ...
@overload
def allow_model_requests(function: Function) -> Function: ...
def allow_model_requests(function: Function | None = None) -> RequestSwitch | Function:
    """Lift the ban of an outer `forbid_model_requests()`; as block and as decorator."""
    switch = RequestSwitch(allowed=True)
    return switch if function is None else switch(function)


def _around_async_generator(function: Callable[..., Any], allowed: bool) -> Callable[..., Any]:
    async def pieces(*args: Any, **kwargs: Any) -> Any:
        with switched(allowed=allowed):
            # Closed in here: what it does in the end is still inside the block.
            async with aclosing(function(*args, **kwargs)) as inner:
                async for piece in inner:
                    yield piece

    return pieces


def _around_coroutine(function: Callable[..., Any], allowed: bool) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with switched(allowed=allowed):
            return await function(*args, **kwargs)

    return call


def _around_generator(function: Callable[..., Any], allowed: bool) -> Callable[..., Any]:
    def pieces(*args: Any, **kwargs: Any) -> Any:
        with switched(allowed=allowed):
            return (yield from function(*args, **kwargs))

    return pieces


def _around_plain(function: Callable[..., Any], allowed: bool) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with switched(allowed=allowed):
            return function(*args, **kwargs)

    return call


_AROUND: tuple[tuple[Callable[[Any], bool], Callable[[Callable[..., Any], bool], Callable[..., Any]]], ...] = (
    (inspect.isasyncgenfunction, _around_async_generator),
    (inspect.iscoroutinefunction, _around_coroutine),
    (inspect.isgeneratorfunction, _around_generator),
    (inspect.isfunction, _around_plain),
)
