"""Processes of a test's own that drive a store, and can be killed at any moment."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import warnings

from generative_ai_workflow import RunIdentity, SQLiteRunStore, StepResult, WorkflowResult


def identity(run_id, **more):
    facts = {"run_id": run_id, "workflow": "w", "fingerprint": "f", "input_data": {}}
    return RunIdentity(**facts | more)


def step(name, **output):
    return StepResult(name=name, output=output)


def ended(run_id, status, steps=None, **output):
    return WorkflowResult(workflow_id="i", correlation_id=run_id, status=status, output=output, steps=steps or {})


def wait_for(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


async def listed(store, *args):
    return [run async for run in store.runs(*args)]


async def unfinished(store, workflow=None):
    return await listed(store, workflow, "running")


class Child:
    """A forked process with a store on `path`; `child(method, *args)` calls one of its methods."""

    def __init__(self, path, before=None):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, path, before), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # the threads of this process are no concern of the child
            self.process.start()
        other.close()

    @property
    def pid(self):
        return self.process.pid

    def __call__(self, method, *args):
        self.tell(method, *args)
        return self.answer()

    def tell(self, method, *args):
        self.pipe.send((method, args))

    def answer(self):
        went_well, answer = self.pipe.recv()
        if not went_well:
            raise answer
        return answer

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.gone()

    def gone(self):
        self.process.join()
        self.pipe.close()


def _serve(pipe, path, before):
    if before is not None:
        before()
    store = SQLiteRunStore(path)
    with asyncio.Runner() as runner:
        while True:
            try:
                method, args = pipe.recv()
            except EOFError:
                return
            try:
                work = unfinished(store) if method == "unfinished" else getattr(store, method)(*args)
                answer = (True, runner.run(work))
            except Exception as error:
                answer = (False, error)
            pipe.send(answer)
