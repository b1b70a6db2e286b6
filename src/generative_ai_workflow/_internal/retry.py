"""Names only: the house's retries."""

from fmf_core.retry import RetryPolicy

__all__ = ["RetryPolicy"]
