from __future__ import annotations

import errno

import pytest

from fmf_core.starved import wants_memory


@pytest.mark.parametrize(
    ("error", "wants"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("another"), False),
        (ImportError("x.so: failed to map segment from shared object"), True),
        (ImportError("No module named 'x'"), False),
        (ValueError("can't start new thread"), False),
    ],
)
def test_want_of_memory_is_known_by_whatever_name_it_comes(error, wants):
    assert wants_memory(error) is wants
