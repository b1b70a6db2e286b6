"""Sees to it that every model's `cleanup` has run by the end of the process."""

from __future__ import annotations

import asyncio

# The portal's loop may have to be started when the process ends, and by then this module cannot be imported any more.
import concurrent.futures.thread as _needed_in_the_end  # noqa: F401
import threading
import weakref
from collections import deque
from contextlib import suppress

from chatmodels.iface import ChatModel
from fmf_core.forks import in_forked_child
from fmf_core.portal import at_exit, in_thread, run_sync


class _Ward:
    """The models that still need their cleanup."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with no models."""
        self.models: dict[int, ChatModel] = {}
        # Filled by the garbage collector, which may interrupt any code: an append is all that is safe there.
        self.dropped: deque[int] = deque()
        self.sweeps: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.promised = False

    def add(self, model: ChatModel) -> None:
        """Clean `model` up at the end of the process."""
        if not self.promised:
            self.promised = True
            at_exit(self.clean_up_all)
        self.models[id(model)] = model

    def sweep(self) -> None:
        """Clean up what nobody can use any more, in the background."""
        orphans = [self.models.pop(self.dropped.popleft(), None) for _ in range(len(self.dropped))]
        models = [model for model in orphans if model is not None]
        self.sweeps = [thread for thread in self.sweeps if thread.is_alive()]
        if models:
            # A daemon: a cleanup that hangs must not hold up the end of the process.
            thread = threading.Thread(target=_clean_up_now, args=(models,), name="chatmodels-cleanup", daemon=True)
            self.sweeps.append(thread)
            thread.start()

    async def clean_up_all(self) -> None:
        """Clean up all models at once, and wait for what is being cleaned up."""
        with self.lock:
            models = list(self.models.values())
            self.models.clear()
        await _clean_up(models)
        for thread in self.sweeps:
            await in_thread(thread.join)


async def _clean_up(models: list[ChatModel]) -> None:
    """Clean up `models` together; the failure of one does not concern the others."""

    async def clean_up(model: ChatModel) -> None:
        await model.cleanup()

    await asyncio.gather(*map(clean_up, models), return_exceptions=True)


def _clean_up_now(models: list[ChatModel]) -> None:
    with suppress(RuntimeError):  # the process has ended in the meantime
        run_sync(_clean_up(models))


_ward = _Ward()


def clean_up_in_the_end(model: ChatModel, *, owner: ChatModel | None = None) -> None:
    """Run `model.cleanup` before the process ends.

    Args:
        model: the model inside all wrappers; it is kept until its cleanup has run.
        owner: the only way to `model`; when it is gone, the cleanup runs soon and not only in the end.
    """
    if type(model).cleanup is ChatModel.cleanup:
        return
    with _ward.lock:
        _ward.sweep()
        _ward.add(model)
    if owner is not None:
        weakref.finalize(owner, _ward.dropped.append, id(model)).atexit = False


# A forked child leaves its parent's models to the parent: their connections are not its own.
in_forked_child(_ward.begin)
