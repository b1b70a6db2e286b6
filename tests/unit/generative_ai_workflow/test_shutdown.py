from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from generative_ai_workflow import TransformStep, Workflow, WorkflowEngine, WorkflowStatus
from generative_ai_workflow.shutdown import Shutdown

PROGRAM = textwrap.dedent("""
    import asyncio, sys
    from chatmodels import ChatModel, ChatResponse, TokenUsage
    from generative_ai_workflow import LLMStep, TransformStep, Workflow, WorkflowConfig, WorkflowEngine

    class Slow(ChatModel):
        async def complete_async(self, request):
            print("asked", flush=True)
            await asyncio.sleep(0.7)
            usage = TokenUsage(prompt_tokens=3, completion_tokens=4, model="slow", provider="own")
            return ChatResponse(content="answer", model="slow", usage=usage)

    workflow = Workflow(
        [TransformStep("before", lambda names: {"kept": 1}, inline=True), LLMStep("ask", "{text}", provider=Slow()),
         TransformStep("after", lambda names: {"never": 1}, inline=True)],
        name="slow",
        config=WorkflowConfig(cancel_grace_s=float(sys.argv[2])),
    )
    engine = WorkflowEngine()

    def show(result):
        metrics = result.metrics
        usage = metrics.token_usage_total
        print(result.status, result.output, None if usage is None else usage.total_tokens, metrics.steps_completed,
              metrics.steps_failed, metrics.steps_skipped, flush=True)

    with engine.cancelled_by_signals() as shutdown:
        if sys.argv[1] == "sync":
            show(engine.run(workflow, {"text": "a"}))
        elif sys.argv[1] == "limited":
            show(engine.run(workflow, {"text": "a"}, timeout=60))
        elif sys.argv[1] == "handle":
            show(engine.start(workflow, {"text": "a"}).result())
        elif sys.argv[1] == "many":
            for result in engine.run_many(workflow, [{"text": "a"}, {"text": "b"}]):
                show(result)
        else:
            show(asyncio.Runner().run(engine.run_async(workflow, {"text": "a"})))
        show(engine.run(workflow, {"text": "later"}))
    print(shutdown.signal, flush=True)
""")


def interrupted(way: str, number: int, grace: str = "5", times: int = 1) -> tuple[list[str], str, int]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, way, grace], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        for _ in range(times):
            process.send_signal(number)
        told, complaints = process.communicate(timeout=60)
    return told.splitlines(), complaints, process.returncode


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.mark.parametrize("way", ["sync", "limited", "handle", "async"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_model_call_lets_it_finish_and_counts_it(way: str, number: int) -> None:
    lines, complaints, status = interrupted(way, number)
    first, later, told = [line for line in lines if line != "asked"]
    assert first.startswith("cancelled {'kept': 1, 'before_output': {'kept': 1}, 'ask': 'answer'")
    assert first.endswith("} 7 2 0 1")
    assert later == "cancelled None None 0 0 3"
    assert told == str(int(number))
    assert status == 0
    assert "Traceback" not in complaints


def test_a_call_that_takes_longer_than_the_grace_is_given_up() -> None:
    lines, _, _ = interrupted("sync", signal.SIGTERM, grace="0.1")
    assert lines[0] == "cancelled {'kept': 1, 'before_output': {'kept': 1}} None 1 1 1"


def test_many_runs_end_together() -> None:
    lines, _, status = interrupted("many", signal.SIGTERM)
    ended = [line for line in lines if line.startswith("cancelled {'kept'")]
    assert len(ended) == 2
    assert all(" 7 " in line for line in ended)
    assert status == 0


def test_a_second_signal_interrupts() -> None:
    shutdown = Shutdown()
    shutdown.request(signal.SIGTERM)
    assert shutdown.signal == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):
        shutdown.request(signal.SIGINT)


def test_handlers_are_put_back_and_other_threads_change_none() -> None:
    engine = WorkflowEngine()
    before = signal.getsignal(signal.SIGTERM)
    with engine.cancelled_by_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    seen = []

    def elsewhere() -> None:
        with engine.cancelled_by_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]


def test_runs_on_a_loop_in_the_main_thread_are_cancelled_from_its_handler() -> None:
    engine = WorkflowEngine()
    workflow = Workflow([TransformStep("wait", lambda _: asyncio.sleep(30), inline=True)])

    async def go() -> list[WorkflowStatus]:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        results = await asyncio.gather(*(engine.run_async(workflow) for _ in range(3)))
        return [result.status for result in results]

    with engine.cancelled_by_signals(), asyncio.Runner() as runner:
        assert runner.run(go()) == [WorkflowStatus.CANCELLED] * 3
