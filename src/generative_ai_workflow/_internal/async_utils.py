"""Names only: where blocking code and the event loop meet."""

from fmf_core.portal import in_thread as in_thread
from fmf_core.portal import iterate_sync as iterate_sync
from fmf_core.portal import run_sync as run_sync
