"""How libraries written in Rust end when they meet what they did not expect."""

from __future__ import annotations


def is_panic(error: BaseException) -> bool:
    """Whether a library gave up: what it raises then is no `Exception`, and has no type that could be imported."""
    return type(error).__name__ == "PanicException"
