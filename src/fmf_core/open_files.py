"""The limit of open files: which errors come from it, and whether there is room for more."""

from __future__ import annotations

import errno
import os
from typing import Final

OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""The numbers of errors that say that the process, or the system, has as many files open as it may."""


def can_open(count: int = 1) -> bool:
    """Whether `count` files more can be opened now."""
    held: list[int] = []
    try:
        while len(held) < count:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in OUT_OF_FILES
    finally:
        for number in held:
            os.close(number)
    return True
