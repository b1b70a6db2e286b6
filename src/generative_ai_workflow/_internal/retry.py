"""Names only: the house's retries."""

from fmf_core.retry import RetryPolicy as RetryPolicy
from fmf_core.retry import attempts as attempts
