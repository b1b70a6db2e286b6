"""Sees to it that every model's `cleanup` has run by the end of the process."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque

from chatmodels.iface import ChatModel
from fmf_core.portal import at_exit, run_sync


class _Ward:
    """The models that still need their cleanup."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with no models."""
        self.models: dict[int, ChatModel] = {}
        # Filled by the garbage collector, which may interrupt any code: an append is all that is safe there.
        self.dropped: deque[int] = deque()
        self.lock = threading.Lock()

    def add(self, model: ChatModel) -> None:
        """Clean `model` up at the end of the process."""
        with self.lock:
            if not self.models:
                at_exit(self.clean_up_all)
            self.models[id(model)] = model

    def sweep(self) -> None:
        """Clean up what nobody can use any more, in the background."""
        orphans: list[ChatModel] = []
        while self.dropped:
            with self.lock:
                model = self.models.get(self.dropped.popleft())
            if model is not None:
                orphans.append(model)
        if orphans:
            threading.Thread(target=self._clean_up, args=(orphans,), name="chatmodels-cleanup", daemon=True).start()

    async def clean_up_all(self) -> None:
        """Clean up all models at once; the failure of one does not concern the others."""
        with self.lock:
            models = list(self.models.values())
            self.models.clear()
        await asyncio.gather(*(model.cleanup() for model in models), return_exceptions=True)

    def _clean_up(self, models: list[ChatModel]) -> None:
        async def go() -> None:
            await asyncio.gather(*(model.cleanup() for model in models), return_exceptions=True)

        try:
            run_sync(go())
        except RuntimeError:
            return  # the process is ending: clean_up_all has them all
        with self.lock:
            for model in models:
                self.models.pop(id(model), None)


_ward = _Ward()


def clean_up_in_the_end(model: ChatModel, *, owner: ChatModel | None = None) -> None:
    """Run `model.cleanup` before the process ends.

    Args:
        model: the model inside all wrappers; it is kept until its cleanup has run.
        owner: the only way to `model`; when it is gone, the cleanup runs soon and not only in the end.
    """
    if type(model).cleanup is ChatModel.cleanup:
        return
    _ward.sweep()
    _ward.add(model)
    if owner is not None:
        weakref.finalize(owner, _ward.dropped.append, id(model)).atexit = False


if hasattr(os, "register_at_fork"):
    # A forked child leaves its parent's models to the parent: their connections are not its own.
    os.register_at_fork(after_in_child=_ward.begin)
