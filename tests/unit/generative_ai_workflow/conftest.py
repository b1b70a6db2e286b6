"""Every test in an empty folder, without settings of whoever runs it, and with clean tables and logs."""

from __future__ import annotations

from clean_house import clean_house, log_lines

__all__ = ["clean_house", "log_lines"]
