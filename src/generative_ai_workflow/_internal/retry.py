"""Names only: the house's retries."""

from fmf_core.retry import RetryPolicy, attempts

__all__ = ["RetryPolicy", "attempts"]
