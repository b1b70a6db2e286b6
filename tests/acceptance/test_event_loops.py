"""Workflows on every kind of event loop, in forked processes, at the end of the interpreter; odd callers and models."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from acceptance.outside import clean_environment

# Each program prints one JSON document; whatever it writes to stderr fails its test.
COMMON = """
import asyncio, gc, itertools, json, os, sys, threading, time
from chatmodels import ChatModel, ChatResponse, TokenUsage
from generative_ai_workflow import LLMStep, TransformStep, Workflow, WorkflowEngine, WorkflowStep

def answer(request):
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    return ChatResponse(content=f"re {request.prompt}", model="m", usage=usage)

class Quick(ChatModel):
    async def complete_async(self, request):
        await asyncio.sleep(0.01)
        return answer(request)

class Slow(ChatModel):
    async def complete_async(self, request):
        await asyncio.sleep(30)
        return answer(request)

class SlowAndBlocking(ChatModel):
    def complete(self, request):
        time.sleep(30)
        return answer(request)

class Raises(ChatModel):
    def __init__(self, error):
        self.error = error
    async def complete_async(self, request):
        raise self.error

class RaisesInAThread(ChatModel):
    def __init__(self, error):
        self.error = error
    def complete(self, request):
        raise self.error

def workflow(model):
    double = TransformStep("double", lambda names: {"doubled": 2 * names["n"]})
    return Workflow([double, LLMStep("ask", "{n}", provider=model)])

def said(result):
    return result.output["ask"] if result.succeeded else str(result.status)

engine, quick = WorkflowEngine(), workflow(Quick())
"""


def told(program: str, *options: str, exit_code: int = 0) -> Any:
    """The last line that a program prints, read as JSON, once it is sure that it ended well and silently."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", COMMON + textwrap.dedent(program)],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (exit_code, ""), done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------------------------------------------- kinds of loops

EVERY_WAY = """
async def every_way():
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no news
    handle = quick.start({"n": 1})
    awaited = await quick.execute_async({"n": 0}, timeout=20)
    many = await engine.run_many(quick, [{"n": 2}, {"n": 3}])
    each = [said(result) async for result in engine.run_many(quick, [{"n": 4}])]
    blocking = quick.execute({"n": 5})
    late = await workflow(Slow()).execute_async({"n": 6}, timeout=0.1)
    task = asyncio.ensure_future(workflow(Slow()).execute_async({"n": 7}))
    await asyncio.sleep(0.05)
    task.cancel()
    [cancelled] = await asyncio.gather(task, return_exceptions=True)
    others = [found for found in asyncio.all_tasks() if found is not asyncio.current_task()]
    return [said(awaited), said(await handle), *map(said, many), *each, said(blocking), said(late),
            type(cancelled).__name__, len(others)]
"""


@pytest.mark.parametrize(
    ("run", "options"),
    [
        ("asyncio.run(every_way())", ()),
        ("asyncio.run(every_way())", ("-X", "dev")),
        ("__import__('uvloop').run(every_way())", ()),
        ("__import__('anyio').run(every_way)", ()),
        ("__import__('anyio').run(every_way, backend_options={'use_uvloop': True})", ()),
        ("asyncio.new_event_loop().run_until_complete(every_way())", ("-W", "ignore::ResourceWarning")),
    ],
    ids=["asyncio", "asyncio in development mode", "uvloop", "anyio", "anyio on uvloop", "a loop of one's own"],
)
def test_every_way_to_run_works_on_every_asyncio_loop(run: str, options: tuple[str, ...]) -> None:
    expected = ["re 0", "re 1", "re 2", "re 3", "re 4", "re 5", "timeout", "CancelledError", 0]
    assert told(f"{EVERY_WAY}\nprint(json.dumps({run}))", *options) == expected


def test_blocking_calls_work_where_a_loop_runs_already_as_in_a_notebook() -> None:
    program = """
        async def cells():
            cells = [said(quick.execute({"n": 1})), said(engine.run(quick, {"n": 2}, timeout=20))]
            cells += [said(result) for result in engine.run_many(quick, [{"n": 3}])]
            cells.append(quick({"n": 4}) is not None and said(await quick.start({"n": 4})))
            late = workflow(SlowAndBlocking()).execute({"n": 5}, timeout=0.1)
            return [*cells, said(late), said(await quick.execute_async({"n": 6}))]

        loop = asyncio.new_event_loop()
        told = loop.run_until_complete(cells())
        print(json.dumps([told, loop.run_until_complete(cells()) == told]))
        loop.close()
    """
    assert told(program) == [["re 1", "re 2", "re 3", "re 4", "timeout", "re 6"], True]


def test_anyio_scopes_cancel_runs_and_its_groups_run_many() -> None:
    program = """
        import anyio

        async def main():
            answers = []
            async def one(n):
                answers.append(said(await quick.execute_async({"n": n})))
            async with anyio.create_task_group() as group:
                for n in range(50):
                    group.start_soon(one, n)
            with anyio.move_on_after(0.1) as scope:
                await workflow(Slow()).execute_async({"n": 1})
            threaded = await anyio.to_thread.run_sync(quick.execute, {"n": 9})
            return sorted(answers) == sorted(f"re {n}" for n in range(50)), scope.cancelled_caught, said(threaded)

        print(json.dumps(anyio.run(main)))
    """
    assert told(program) == [True, True, "re 9"]


def test_under_trio_workflows_run_in_threads() -> None:
    program = """
        import trio

        async def main():
            answers = {}
            async def one(n):
                answers[n] = said(await trio.to_thread.run_sync(quick.execute, {"n": n}))
            async with trio.open_nursery() as nursery:
                for n in range(20):
                    nursery.start_soon(one, n)
            handle = quick.start({"n": 21})
            answers[21] = said(await trio.to_thread.run_sync(handle.result))
            many = await trio.to_thread.run_sync(list, engine.run_many(quick, [{"n": 22}, {"n": 23}]))
            answers.update({22 + place: said(result) for place, result in enumerate(many)})
            answers[24] = said(quick.execute({"n": 24}))
            return sorted(answers.items()) == [(n, f"re {n}") for n in range(25) if n != 20]

        print(json.dumps(trio.run(main)))
    """
    assert told(program) is True


def test_under_trio_what_cannot_be_awaited_says_what_to_write() -> None:
    program = """
        import trio
        from generative_ai_workflow import FrameworkError

        async def hint_of(await_it):
            try:
                await await_it()
            except FrameworkError as error:
                assert "no asyncio event loop" in str(error), error
                return error.hint.partition(": ")[2].partition(";")[0]

        async def main():
            async def one_by_one():
                async for result in engine.run_many(quick, [{"n": 1}]): pass
            async def handle():
                return await quick.start({"n": 1})
            async def many():
                return await engine.run_many(quick, [{"n": 1}])
            limited = lambda: quick.execute_async({"n": 1}, timeout=5)
            ways = (lambda: quick.execute_async({"n": 1}), limited, handle, many, one_by_one)
            return [await hint_of(way) for way in ways]

        print(json.dumps(trio.run(main)))
    """
    in_a_thread = "await trio.to_thread.run_sync({})".format
    run_many = in_a_thread("list, engine.run_many(workflow, inputs)")
    whole = in_a_thread("workflow.execute, data")
    assert told(program) == [whole, whole, in_a_thread("handle.result"), run_many, run_many]


# ------------------------------------------------------------------------------------------------- forks and the end


def test_forked_children_run_workflows_of_their_own_after_use_in_the_parent() -> None:
    program = """
        def works():
            answers = [said(quick.execute({"n": 1})), said(engine.run(quick, {"n": 2}))]
            answers.append(said(quick.start({"n": 3}).result(20)))
            answers += [said(result) for result in engine.run_many(quick, [{"n": 4}])]
            async def awaited():
                return said(await quick.execute_async({"n": 5}))
            return [*answers, asyncio.run(awaited())] == [f"re {n}" for n in range(1, 6)]

        assert works()
        under_way = workflow(Slow()).start({"n": 1})
        time.sleep(0.05)
        codes = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                status = str(under_way.status)  # the run is the parent's, and nobody hangs for it
                sys.exit(0 if works() and status == "running" else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        under_way.cancel(at_once=True)
        print(json.dumps([codes, works(), said(under_way.result(20))]))
    """
    assert told(program) == [[0, 0, 0], True, "cancelled"]


def test_processes_that_are_forked_while_threads_run_workflows_do_not_hang() -> None:
    program = """
        import multiprocessing

        quick.execute({"n": 0})  # what is imported on first use: an import that a fork cuts is never finished
        over = threading.Event()
        def busy():
            while not over.is_set():
                quick.execute({"n": 0})
        def child(n, queue):
            queue.put(said(quick.execute({"n": n})))
        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads: thread.start()
        time.sleep(0.05)
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        children = [context.Process(target=child, args=(n, queue)) for n in range(10)]
        for process in children: process.start()
        answers = sorted(queue.get(timeout=30) for _ in children)
        for process in children: process.join(30)
        over.set()
        for thread in threads: thread.join(30)
        print(json.dumps([answers == [f"re {n}" for n in range(10)], [process.exitcode for process in children]]))
    """
    assert told(program) == [True, [0] * 10]


@pytest.mark.parametrize(
    ("program", "last"),
    [
        (
            """
            handles = [workflow(model()).start({"n": n}) for model in (Slow, SlowAndBlocking) for n in range(20)]
            time.sleep(0.1)
            print(json.dumps(len(handles)))
            """,
            40,
        ),
        (
            """
            for model in (Slow, SlowAndBlocking):
                threading.Thread(target=workflow(model()).execute, args=({"n": 1},), daemon=True).start()
            time.sleep(0.1)
            print(json.dumps("threads"))
            """,
            "threads",
        ),
        (
            """
            def go():
                for result in engine.run_many(workflow(Slow()), ({"n": n} for n in range(100)), concurrency=50): pass
            threading.Thread(target=go, daemon=True).start()
            left = iter(engine.run_many(quick, ({"n": n} for n in range(100)), concurrency=5))
            print(json.dumps(said(next(left))))
            """,
            "re 0",
        ),
        (
            """
            async def main():
                handles = [workflow(model()).start({"n": n}) for model in (Slow, SlowAndBlocking) for n in range(20)]
                flows = [workflow(model()) for model in (Slow, SlowAndBlocking)]
                tasks = [asyncio.ensure_future(flow.execute_async({"n": 1})) for flow in flows]
                await asyncio.sleep(0.1)
                return handles
            handles = asyncio.run(main())
            print(json.dumps(sorted({said(handle.result(5)) for handle in handles})))
            """,
            ["cancelled"],
        ),
        (
            """
            import atexit
            quick.execute({"n": 1})
            atexit.register(lambda: print(json.dumps(said(quick.execute({"n": 2})))))
            """,
            "re 2",
        ),
        (
            """
            def go():
                time.sleep(0.2)
                print(json.dumps(said(quick.execute({"n": 2}))))
            threading.Thread(target=go).start()
            """,
            "re 2",
        ),
    ],
    ids=["handles", "threads", "run_many", "a loop", "at exit", "a thread that goes on"],
)
def test_the_interpreter_ends_quietly_and_soon_whatever_is_under_way(program: str, last: Any) -> None:
    assert told(program) == last


# ------------------------------------------------------------------------------------------------------------ handles


def test_a_result_is_kept_until_it_is_fetched_from_anywhere() -> None:
    program = """
        async def begin():
            handle = quick.start({"n": 1})
            await handle
            return handle
        async def fetch(handle):
            return said(await handle)
        of_a_loop, of_none = asyncio.run(begin()), quick.start({"n": 2})
        time.sleep(0.2)
        gc.collect()
        fetched = [said(of_a_loop.result(0)), asyncio.run(fetch(of_a_loop))]
        fetched += [said(of_none.result(20)), asyncio.run(fetch(of_none))]
        late = []
        threading.Thread(target=lambda: late.append(said(of_a_loop.result()))).start()
        time.sleep(0.1)
        print(json.dumps([*fetched, *late]))
    """
    assert told(program) == ["re 1", "re 1", "re 2", "re 2", "re 1"]


def test_handles_that_are_dropped_leave_nothing_behind_and_complain_about_nothing() -> None:
    program = """
        import weakref
        from generative_ai_workflow import WorkflowResult

        class Odd(BaseException): pass

        kept = []
        class Notes(WorkflowStep):
            async def execute_async(self, context):
                note = type("Note", (), {})()
                kept.append(weakref.ref(note))
                return {"note": note}
        def flows():
            yield Workflow([Notes("note")])
            yield workflow(Raises(ValueError("v")))
            yield workflow(Raises(Odd("v")))
            yield workflow(RaisesInAThread(Odd("v")))
        async def main():
            for flow in flows():
                flow.start({"n": 1})
            await asyncio.sleep(0.2)
        asyncio.run(main())
        for flow in flows():
            flow.start({"n": 1})
        time.sleep(0.3)
        gc.collect()
        print(json.dumps([len(kept), [note() is None for note in kept]]))
    """
    assert told(program) == [2, [True, True]]


# ----------------------------------------------------------------------------------------------------------- run_many


def test_inputs_without_an_end_are_taken_as_they_are_needed_and_left_when_nobody_wants_more() -> None:
    program = """
        taken = itertools.count()
        closed = []
        def endless():
            try:
                for n in itertools.count():
                    next(taken)
                    yield {"n": n}
            finally:
                closed.append(True)
        def blocking():
            answers = []
            for result in engine.run_many(quick, endless(), concurrency=5):
                answers.append(said(result))
                if len(answers) == 20:
                    return answers
        async def awaited():
            answers = []
            async for result in engine.run_many(quick, endless(), concurrency=5):
                answers.append(said(result))
                if len(answers) == 20:
                    break
            gc.collect()
            await asyncio.sleep(0.1)
            return answers, len(asyncio.all_tasks())
        told = []
        thread = threading.Thread(target=lambda: told.append(blocking()))
        thread.start()
        thread.join()
        answers, tasks = asyncio.run(awaited())
        gc.collect()
        right = [f"re {n}" for n in range(20)]
        print(json.dumps([blocking() == right, told[0] == right, answers == right, tasks, next(taken) < 200]))
    """
    assert told(program) == [True, True, True, 1, True]


@pytest.mark.parametrize("concurrency", [1, 7, 1000])
def test_run_many_keeps_the_order_and_its_bound_whatever_the_bound(concurrency: int) -> None:
    program = f"""
        at_once, most = 0, 0
        class Counted(ChatModel):
            async def complete_async(self, request):
                global at_once, most
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.001 * (int(request.prompt) % 7))
                at_once -= 1
                return answer(request)
        inputs = ({{"n": n}} for n in range(1500))
        answers = [said(result) for result in engine.run_many(workflow(Counted()), inputs, concurrency={concurrency})]
        print(json.dumps([answers == [f"re {{n}}" for n in range(1500)], 1 <= most <= {concurrency}]))
    """
    assert told(program) == [True, True]


def test_one_input_that_is_no_dict_fails_alone() -> None:
    program = """
        inputs = [{"n": 1}, 5, "text", {2: 3}, {"n": 4}]
        results = list(engine.run_many(quick, inputs))
        print(json.dumps([[said(result) for result in results], ["dict" in result.error for result in results[1:4]]]))
    """
    assert told(program) == [["re 1", "failed", "failed", "failed", "re 4"], [True, True, True]]


# --------------------------------------------------------------------------------------------------- models and steps


def test_whatever_a_model_raises_fails_its_run_alone_in_every_mode() -> None:
    program = """
        class Odd(BaseException): pass
        errors = [Odd("odd"), SystemExit(3), GeneratorExit(), asyncio.CancelledError(), StopIteration(1),
                  StopAsyncIteration(), MemoryError(), RecursionError("deep")]
        statuses = []
        async def awaited(flow):
            beside, result = await asyncio.gather(quick.execute_async({"n": 1}), flow.execute_async({"n": 2}))
            return said(beside), said(result)
        for kind in (Raises, RaisesInAThread):
            for error in errors:
                flow = workflow(kind(error))
                statuses += [said(flow.execute({"n": 1})), said(flow.start({"n": 1}).result(20))]
                statuses += asyncio.run(awaited(flow))
        print(json.dumps([sorted(set(statuses)), statuses.count("failed"), said(quick.execute({"n": 9}))]))
    """
    assert told(program) == [["failed", "re 1"], 48, "re 9"]


def test_a_model_that_blocks_the_loop_costs_others_time_and_not_their_results() -> None:
    program = """
        class Blocks(ChatModel):
            async def complete_async(self, request):
                time.sleep(0.5)
                return answer(request)
        began = time.monotonic()
        late = workflow(Blocks()).execute({"n": 1}, timeout=0.1)
        on_time = time.monotonic() - began < 0.45
        async def main():
            runs = [workflow(Blocks()).execute_async({"n": 0}), *[quick.execute_async({"n": n}) for n in range(1, 20)]]
            return [said(result) for result in await asyncio.gather(*runs)]
        beside = asyncio.run(main()) == [f"re {n}" for n in range(20)]
        print(json.dumps([said(late), on_time, beside, said(quick.execute({"n": 3}))]))
    """
    assert told(program) == ["timeout", True, True, "re 3"]


def test_tasks_that_a_step_leaves_behind_are_its_own_and_do_not_hold_the_run() -> None:
    program = """
        ended = threading.Event()
        class Leaves(WorkflowStep):
            async def execute_async(self, context):
                async def later():
                    await asyncio.sleep(0.2)
                    ended.set()
                self.task = asyncio.get_running_loop().create_task(later())
                return {"ask": "left"}
        began = time.monotonic()
        result = Workflow([Leaves("leave")]).execute({})
        soon = time.monotonic() - began < 0.2
        print(json.dumps([said(result), soon, ended.wait(20)]))
    """
    assert told(program) == ["left", True, True]
