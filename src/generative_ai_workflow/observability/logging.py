"""Names only: the house's logging."""

from fmf_core.logs import configure_logging as configure_logging
from fmf_core.logs import get_logger as get_logger
