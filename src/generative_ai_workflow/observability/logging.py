"""Names only: the house's logging."""

from fmf_core.logs import configure_logging, get_logger

__all__ = ["configure_logging", "get_logger"]
