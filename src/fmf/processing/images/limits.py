"""How large a picture may be before its pixels are unpacked."""

from __future__ import annotations

from typing import Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.source import MEGABYTE

LARGEST: Final = 89_000_000
"""Pixels: a sheet of A3 with 600 to the inch has 70 million."""
_BYTES_EACH: Final = 12
"""What a pixel takes while a picture is read: colours, grey, and a larger or turned copy."""


def max_pixels(settings: ProcessingConfig) -> int:
    """The most pixels of one picture: as many as `limits.max_memory_mb` has room for, and never more than `LARGEST`."""
    return min(LARGEST, int(settings.limits.max_memory_mb * MEGABYTE / _BYTES_EACH))
