"""The edge cases of the specification, where no other test shows them already."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fmf_core.retry import RetryPolicy
from generative_ai_workflow import (
    ConfigurationError,
    CostTracker,
    FrameworkConfig,
    FrameworkError,
    LLMStep,
    MockLLMProvider,
    ProviderError,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowStatus,
)
from peers.scripted_server import Reply, ScriptedServer
from specification.ways import WAYS, run, run_alone

every_way = pytest.mark.parametrize("way", WAYS)


async def nap(names: dict) -> None:
    await asyncio.sleep(20)


@pytest.mark.requirement("edge: provider fails")
@every_way
def test_a_server_that_never_answers_fails_the_step_in_time(way, openai):
    from chatmodels import create_chat_model

    openai.add(Reply(hang=True), Reply(hang=True))
    model = create_chat_model("openai", model="m", timeout_s=0.15, retry={"max_attempts": 2, "first_wait_s": 0.01})
    began = time.monotonic()
    result = run(way, Workflow([LLMStep("ask", "x", provider=model)]))
    assert time.monotonic() - began < 10
    assert result.status is WorkflowStatus.FAILED
    assert result.steps["ask"].error_info.code == "timeout"
    assert result.steps["ask"].attempts == 2


@pytest.mark.requirement("edge: provider fails", "FR-012")
@every_way
def test_a_step_may_be_tried_again_and_limited_in_time_as_a_whole(way):
    turns = iter(range(10))

    async def flaky(names: dict) -> int:
        turn = next(turns)
        if turn == 0:
            await asyncio.sleep(20)
        if turn == 1:
            raise ProviderError("busy", op="x.complete", code="unavailable")
        return turn

    step = TransformStep("flaky", flaky)
    step.retry, step.timeout = RetryPolicy(max_attempts=5, first_wait_s=0.01), 0.2
    result = run(way, Workflow([step]))
    assert result.output["flaky"] == 2


@pytest.mark.requirement("edge: provider fails")
@every_way
def test_a_limit_that_asks_to_wait_too_long_ends_the_retries(way, openai):
    openai.add(Reply(status=429, headers={"Retry-After": "3600"}))
    result = run(way, Workflow([LLMStep("ask", "x")]))
    assert openai.count == 1
    assert result.steps["ask"].error_info.code == "rate_limit"


@pytest.mark.requirement("edge: circular dependencies")
@pytest.mark.parametrize(
    ("first", "second"),
    [("${steps.b}", "${steps.a}"), ("${steps.a}", "x"), ("${steps.b}", "x")],
    ids=["circle", "itself", "later"],
)
def test_circular_and_forward_references_are_refused_when_the_workflow_is_defined(first, second):
    steps = [
        LLMStep("a", "{x}", MockLLMProvider(), inputs={"x": first}),
        LLMStep("b", "{x}", MockLLMProvider(), inputs={"x": second}),
    ]
    with pytest.raises(ConfigurationError, match="refers to") as caught:
        Workflow(steps)
    assert "'a'" in str(caught.value)


@pytest.mark.requirement("edge: circular dependencies", "FR-019a")
def test_circular_references_of_a_file_are_refused_with_their_place(tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(
        "name: circle\n"
        "steps:\n"
        "  - {id: a, prompt: 'inline: {{ x }}', inputs: {x: '${steps.b}'}}\n"
        "  - {id: b, prompt: 'inline: {{ x }}', inputs: {x: '${steps.a}'}}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        Workflow.from_yaml(path)
    told = str(caught.value)
    assert "flow.yaml:3:" in told
    assert "'a'" in told
    assert "refers to 'b'" in told


@pytest.mark.requirement("edge: no provider")
def test_an_unknown_provider_lists_the_known_ones():
    result = Workflow([LLMStep("ask", "x", provider="anthropic")]).execute()
    assert result.status is WorkflowStatus.FAILED
    assert "'anthropic'" in result.error
    assert "openai" in result.error


@pytest.mark.requirement("edge: token limits")
@every_way
def test_a_budget_stops_calls_once_it_is_spent(way, openai):
    openai.add(*[Reply(text="x", usage={"prompt_tokens": 1_000_000, "completion_tokens": 0})] * 4)
    costs = CostTracker(limit_usd=0.20)
    workflow = Workflow([LLMStep(f"s{n}", "x") for n in range(4)])
    result = run(way, workflow, engine=WorkflowEngine().use(costs))
    assert result.status is WorkflowStatus.FAILED
    assert "0.2" in result.error
    assert openai.count == 2
    assert result.metrics.token_usage_total.total_tokens == 2_000_000
    with pytest.raises(AssertionError):
        costs.assert_within_budget()


@pytest.mark.requirement("edge: token limits", "FR-033")
@every_way
def test_a_call_that_could_go_over_the_budget_is_refused_before_it_is_made(way, openai):
    openai.add(*[Reply(text="x", usage={"prompt_tokens": 10, "completion_tokens": 10})] * 3)
    costs = CostTracker(limit_usd=0.001)
    engine = WorkflowEngine().use(costs)
    small = run(way, Workflow([LLMStep("a", "x", max_tokens=100)]), engine=engine)
    large = run(way, Workflow([LLMStep("a", "x", max_tokens=10_000)]), engine=engine)
    again = run(way, Workflow([LLMStep("a", "x", max_tokens=100)]), engine=engine)
    assert (small.status, large.status, again.status) == ("completed", "failed", "completed")
    assert large.steps["a"].error_info.code == "budget"
    assert openai.count == 2
    assert costs.estimated_cost_usd < 0.001


@pytest.mark.requirement("edge: token limits")
@every_way
def test_an_answer_that_was_cut_at_its_limit_says_so(way, openai):
    openai.add(Reply(text="", finish_reason="length", usage={"prompt_tokens": 1, "completion_tokens": 5}))
    result = run(way, Workflow([LLMStep("ask", "x", max_tokens=5)]))
    assert openai.bodies[0]["max_tokens"] == 5
    assert result.status is WorkflowStatus.FAILED
    assert result.steps["ask"].error_info.code == "truncated"
    assert "max_tokens" in result.steps["ask"].error_info.hint
    assert result.metrics.token_usage_total.completion_tokens == 5


@pytest.mark.requirement("edge: interrupted")
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_process_that_is_interrupted_ends_with_a_cancelled_run_and_cleaned_up_providers():
    code = """
import os, signal, threading, time
from generative_ai_workflow import LLMStep, Middleware, MockLLMProvider, Workflow, WorkflowEngine

class House(MockLLMProvider):
    async def cleanup(self):
        print("cleaned", flush=True)

class Watch(Middleware):
    async def on_workflow_end(self, result, context):
        print(result.status, result.output["first"], result.metrics.token_usage_total.total_tokens, flush=True)

model = House(latency_s=20)
# Whoever is started in the background of a shell ignores this signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupt():
    while not model.call_count:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
workflow = Workflow([LLMStep("first", "x", MockLLMProvider("kept")), LLMStep("second", "x", model)])
try:
    WorkflowEngine().use(Watch()).run(workflow)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n") == ["cancelled kept 2", "interrupted", "cleaned", ""], done.stderr


DURABLE = """
import asyncio, os, signal, sys, time
from generative_ai_workflow import LLMStep, TransformStep, Workflow, WorkflowEngine

way, last, how = sys.argv[1], sys.argv[2], int(sys.argv[3])

def finishing(name):
    def step(names):
        if name == last:
            os.kill(os.getpid(), how)
            time.sleep(20)
        with open("ran.txt", "a") as book:
            book.write(name + " ")
        return {name: names.get("answer", "") + name}
    return step

steps = [TransformStep("a", finishing("a")), LLMStep("ask", "{a} {text}"), TransformStep("b", finishing("b")),
         LLMStep("again", "{b} {ask}"), TransformStep("c", finishing("c"))]
workflow = Workflow(steps, name="durable")
engine = WorkflowEngine(store="runs.sqlite")

async def go():
    if way == "resume":
        return (await engine.resume(workflow))["run-1"]
    return await engine.run_async(workflow, {"text": "T"}, correlation_id="run-1")

if way == "sync":
    result = engine.run(workflow, {"text": "T"}, correlation_id="run-1")
else:
    with asyncio.Runner() as runner:
        result = runner.run(go())
print(result.status, result.output["c"], result.output["again"], result.metrics.steps_completed)
"""


def durable(way: str, last: str, how: int, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DURABLE, way, last, str(how)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.requirement("edge: interrupted")
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("last", ["a", "b", "c"])
@pytest.mark.parametrize(
    ("before", "after", "how"),
    [
        ("sync", "sync", signal.SIGKILL),
        ("async", "async", signal.SIGKILL),
        ("sync", "resume", signal.SIGKILL),
        ("async", "resume", signal.SIGTERM),
        ("sync", "async", signal.SIGTERM),
    ],
    ids=["sync", "async", "resumed", "resumed after SIGTERM", "other way after SIGTERM"],
)
def test_a_killed_run_goes_on_after_its_last_finished_step_and_pays_no_call_twice(last, before, after, how):
    with ScriptedServer(lambda request: Reply(text=f"<{request.prompt}>")) as server:
        environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "k"}
        killed = durable(before, last, how, **environment)
        assert killed.returncode == -how, killed.stderr
        resumed = durable(after, "none", how, **environment)
        assert resumed.stdout == "completed c <b <a T>> 5\n", resumed.stderr
        again = durable("sync", "none", how, **environment)
        assert again.stdout == resumed.stdout
        assert server.count == 2
    assert Path("ran.txt").read_text(encoding="utf-8").split() == ["a", "b", "c"]


@pytest.mark.requirement("edge: interrupted")
def test_without_a_store_nothing_is_kept(tmp_path):
    assert WorkflowEngine().store is None
    Workflow([TransformStep("a", lambda names: 1)]).execute({}, correlation_id="run-1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("edge: sync timeout")
@pytest.mark.parametrize("blocks", [True, False])
def test_a_sync_run_beyond_its_limit_is_terminated_even_when_a_step_blocks(blocks):
    def block(names: dict) -> None:
        time.sleep(3)

    began = time.monotonic()
    workflow = Workflow([TransformStep("kept", lambda n: 1), TransformStep("slow", block if blocks else nap)])
    result = workflow.execute(timeout=0.3)
    assert time.monotonic() - began < 2.5
    assert result.status is WorkflowStatus.TIMEOUT
    assert "timed out" in result.error
    assert result.output["kept"] == 1
    assert result.completed_at is not None


@pytest.mark.requirement("edge: sync timeout", "FR-007")
def test_a_sync_run_that_times_out_in_a_model_call_leaves_no_call_behind(openai):
    openai.add(Reply(hang=True))
    result = Workflow([LLMStep("ask", "x")]).execute(timeout=0.3)
    assert result.status is WorkflowStatus.TIMEOUT
    openai.wait_for(lambda server: server.in_flight == 0)
    assert openai.count == 1


@pytest.mark.requirement("edge: cancelled in flight", "FR-008")
def test_calls_in_flight_finish_are_counted_and_nothing_new_begins(openai):
    openai._function = lambda request: Reply(text="paid", latency_s=0.4)
    workflow = Workflow([LLMStep("ask", "x"), LLMStep("never", "y")])

    async def go() -> list:
        handles = [workflow.start() for _ in range(5)]
        while openai.in_flight < 5:
            await asyncio.sleep(0.005)
        assert all(handle.cancel() for handle in handles)
        return [await handle for handle in handles]

    results = run_alone(go())
    assert {result.status for result in results} == {WorkflowStatus.CANCELLED}
    assert [result.metrics.token_usage_total.total_tokens for result in results] == [18] * 5
    assert openai.count == 5
    assert not any(chat.closed_early for chat in openai.chats)


@pytest.mark.requirement("edge: sync cancellation")
def test_a_sync_run_gives_nothing_to_cancel_but_another_thread_may_cancel_a_handle():
    workflow = Workflow([TransformStep("nap", nap)])
    handle = workflow.start()
    threading.Timer(0.1, handle.cancel).start()
    assert handle.result(timeout=10).status is WorkflowStatus.CANCELLED
    assert not hasattr(workflow.execute({}, timeout=0.05), "cancel")


@pytest.mark.requirement("edge: sync cancellation")
def test_waiting_for_a_handle_on_the_thread_that_it_needs_is_an_error_and_no_dead_lock():
    async def go() -> str:
        handle = Workflow([TransformStep("a", lambda n: 1)]).start()
        with pytest.raises(FrameworkError, match="this very thread") as caught:
            handle.result(timeout=5)
        await handle
        return caught.value.hint

    assert "await" in run_alone(go())


@pytest.mark.requirement("edge: sync cancellation")
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_a_sync_run():
    model = MockLLMProvider(latency_s=20)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        while not model.call_count:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            Workflow([LLMStep("ask", "x", model)]).execute()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 10


@pytest.mark.requirement("edge: non-blocking")
def test_the_loop_turns_while_models_answer(openai):
    openai._function = lambda request: Reply(text="late", latency_s=0.3)
    workflow = Workflow([LLMStep("ask", "x")])

    async def go() -> int:
        turns = 0
        running = asyncio.gather(*(workflow.execute_async() for _ in range(20)))
        while not running.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert all(result.succeeded for result in running.result())
        return turns

    assert run_alone(go()) >= 10
    assert openai.most_in_flight > 1


FEW_FILES = """
import asyncio, resource, sys
from generative_ai_workflow import LLMStep, TransformStep, Workflow, WorkflowEngine

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
workflow = Workflow([LLMStep("ask", "item {n}"), TransformStep("loud", lambda names: {"loud": names["ask"].upper()})])
expected = [f"RE ITEM {n}" for n in range(300)]

async def go():
    engine = WorkflowEngine()
    results = await asyncio.gather(*(engine.run_async(workflow, {"n": n}) for n in range(300)))
    lost = [result.error for result in results if not result.succeeded]
    assert not lost, (len(lost), lost[0])
    assert [result.output["loud"] for result in results] == expected

asyncio.Runner().run(go())
print("all there")
"""


@pytest.mark.requirement("edge: exhausted resources")
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_with_few_file_descriptors_work_waits_and_none_is_lost():
    with ScriptedServer(lambda request: Reply(text=f"re {request.prompt}", latency_s=0.01)) as server:
        environment = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "k"}
        done = subprocess.run(
            [sys.executable, "-c", FEW_FILES], env=environment, capture_output=True, text=True, timeout=100
        )
    assert done.stdout == "all there\n", done.stderr[-2000:]
    assert server.count >= 300


@pytest.mark.requirement("edge: exhausted resources")
def test_many_inputs_are_taken_only_as_they_are_needed():
    taken = done = ahead = 0
    workflow = Workflow([TransformStep("a", lambda names: names["n"], inline=True)])

    def inputs():
        nonlocal taken
        for number in range(2000):
            taken += 1
            yield {"n": number}

    async def go() -> None:
        nonlocal done, ahead
        async for result in WorkflowEngine().run_many(workflow, inputs(), concurrency=4):
            assert result.output["a"] == done
            done += 1
            ahead = max(ahead, taken - done)

    run_alone(go())
    assert done == taken == 2000
    assert ahead <= 4 * 4 + 4


@pytest.mark.requirement("edge: thread safety")
def test_threads_that_share_engine_model_and_workflow_get_their_own_results_and_ids(log_lines):
    model = MockLLMProvider(lambda request: f"re {request.prompt}", latency_s=(0.0, 0.01), seed=1)
    workflow = Workflow([LLMStep("ask", "{n}", model), TransformStep("twice", lambda names: names["ask"] * 2)])
    engine = WorkflowEngine()
    results: dict[int, object] = {}

    def work(number: int) -> None:
        results[number] = engine.run(workflow, {"n": number}, correlation_id=f"t{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [results[n].output["twice"] for n in range(48)] == [f"re {n}" * 2 for n in range(48)]
    assert {results[n].metrics.token_usage_total.total_tokens for n in range(48)} == {3}
    per_run = [sum(line["correlation_id"] == f"t{n}" for line in log_lines()) for n in range(48)]
    assert len(set(per_run)) == 1


@pytest.mark.requirement("edge: result kept")
def test_a_result_is_kept_until_somebody_asks_for_it_and_afterwards():
    async def go() -> list:
        handle = Workflow([LLMStep("ask", "x", MockLLMProvider("kept"))]).start()
        while not handle.done():
            await asyncio.sleep(0.005)
        gc.collect()
        await asyncio.sleep(0.05)
        return [await handle, await handle, handle.result()]

    first, second, third = run_alone(go())
    assert first is second is third
    assert first.output["ask"] == "kept"
    background = Workflow([LLMStep("ask", "x", MockLLMProvider("kept"))]).start()
    while not background.done():
        time.sleep(0.005)
    assert background.result(timeout=0).output["ask"] == "kept"


@pytest.mark.requirement("edge: result kept")
def test_a_result_that_nobody_asks_for_is_freed_with_its_handle():
    import weakref

    handle = Workflow([TransformStep("a", lambda n: {"big": "x" * 100_000})]).start()
    result = weakref.ref(handle.result(timeout=10))
    assert result() is not None
    del handle
    for _ in range(200):
        gc.collect()
        if result() is None:
            break
        time.sleep(0.01)
    assert result() is None


@pytest.mark.requirement("edge: provider fails", "FR-012")
def test_a_rate_limit_slows_work_down_and_loses_none(openai):
    turn = iter(range(1000))
    openai._function = lambda request: (
        Reply(status=429, headers={"Retry-After": "0"}) if next(turn) % 4 == 0 else Reply("ok")
    )
    engine = WorkflowEngine(FrameworkConfig(max_retry_attempts=8, retry_backoff_factor=1.0))
    workflow = Workflow([LLMStep("ask", "{n}")], config=WorkflowConfig(concurrency=8))

    async def go() -> list:
        return await engine.run_many(workflow, [{"n": n} for n in range(24)])

    assert [result.output["ask"] for result in run_alone(go())] == ["ok"] * 24


@pytest.mark.requirement("edge: no provider", "FR-005")
def test_a_missing_key_is_an_authentication_error_for_direct_callers(monkeypatch):
    from chatmodels.testing import allow_model_requests
    from generative_ai_workflow import LLMRequest, ProviderAuthError
    from generative_ai_workflow.providers.openai import OpenAIProvider

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with allow_model_requests(), pytest.raises(ProviderAuthError, match="OPENAI_API_KEY") as caught:
        OpenAIProvider().complete(LLMRequest(prompt="x"))
    assert isinstance(caught.value, ProviderError)
