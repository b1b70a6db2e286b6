"""Names only: where blocking code and the event loop meet."""

from fmf_core.portal import in_thread, iterate_sync, run_sync

__all__ = ["in_thread", "iterate_sync", "run_sync"]
