"""Documents in, rows out: run language models over an organisation's documents."""

from __future__ import annotations

from fmf_core import __version__ as __version__

__all__ = ["__version__"]
