"""One function for each engine: it gives what runs the same three steps once, from a text to a text.

The steps are the coroutine functions `pre`, `llm` and `post`. Nothing is imported before it is needed, so that every
environment can import this file.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, TypedDict

STEPS = 3
TEXT = "  Hello World "
ANSWER = "ECHO: HELLO WORLD"
Step = Callable[[str], Awaitable[str]]
Run = Callable[[str], Awaitable[str]]


@dataclass(frozen=True)
class Engine:
    """An engine and where it lives."""

    name: str
    make: Callable[[], Run]
    environment: str | None = None
    """Whose packages it needs; `None` is the environment of the project itself."""
    distribution: str = ""
    """Whose version stands in the table."""
    most: int = 1_000_000
    """How many workflows at once are asked of it at most."""
    rounds: int = 1_000_000
    """How many rounds it takes part in at most: a slow one needs fewer to be told from the others."""


class Gate:
    """What the model waits for: one turn of the event loop, or, when it is shut, until it is opened."""

    def __init__(self) -> None:
        self._open: asyncio.Event | None = None
        self.waiting = 0

    def shut(self) -> None:
        """Let everybody wait who comes from now on."""
        self._open = asyncio.Event()
        self.waiting = 0

    def open(self) -> None:
        """Let all of them go on."""
        if self._open is not None:
            self._open.set()
        self._open = None

    async def pass_through(self) -> None:
        """Wait."""
        if self._open is None:
            await asyncio.sleep(0)
        else:
            self.waiting += 1
            await self._open.wait()


gate = Gate()


async def pre(text: str) -> str:
    """The first step."""
    return text.strip().lower()


async def llm(text: str) -> str:
    """The second step, in the place of a model call."""
    await gate.pass_through()
    return "echo: " + text


async def post(text: str) -> str:
    """The third step."""
    return text.upper()


def plain_await() -> Run:
    """The functions alone, which is what all others are compared with."""

    async def run(text: str) -> str:
        return await post(await llm(await pre(text)))

    return run


def by_hand() -> Run:
    """The least that deserves to be called an engine: a loop that keeps status, duration and error of every step."""

    @dataclass(slots=True)
    class Record:
        name: str
        status: str = "running"
        began: int = 0
        ended: int = 0
        error: str | None = None

    chain: Sequence[tuple[str, Step]] = (("pre", pre), ("llm", llm), ("post", post))

    async def run(text: str) -> str:
        records = []
        for name, function in chain:
            record = Record(name, began=perf_counter_ns())
            records.append(record)
            try:
                text = await function(text)
            except Exception as error:
                record.status, record.error = "failed", repr(error)
                raise
            finally:
                record.ended = perf_counter_ns()
            record.status = "completed"
        return text

    return run


def _of_names(function: Step, name: str) -> Callable[[dict[str, Any]], Awaitable[str]]:
    async def step(names: dict[str, Any]) -> str:
        return await function(names[name])

    return step


def _three_transforms() -> Any:
    from generative_ai_workflow import TransformStep, Workflow

    return Workflow(
        [
            TransformStep("pre", _of_names(pre, "text")),
            TransformStep("llm", _of_names(llm, "pre")),
            TransformStep("post", _of_names(post, "llm")),
        ],
        "bench",
    )


def _on(engine: Any, workflow: Any) -> Run:
    async def run(text: str) -> str:
        result = await engine.run_async(workflow, {"text": text})
        return str(result.output["post"]) if result.succeeded else str(result.error)

    return run


def ours() -> Run:
    """An engine that is used again and again."""
    from generative_ai_workflow import WorkflowEngine

    return _on(WorkflowEngine(), _three_transforms())


def ours_convenient() -> Run:
    """`workflow.execute_async`, which finds its engine itself."""
    workflow = _three_transforms()

    async def run(text: str) -> str:
        result = await workflow.execute_async({"text": text})
        return str(result.output["post"]) if result.succeeded else str(result.error)

    return run


def ours_with_model() -> Run:
    """An `LLMStep` in the middle, with a chat model that answers with a value made beforehand."""
    from chatmodels import ChatModel, ChatRequest, ChatResponse, TokenUsage
    from generative_ai_workflow import LLMStep, TransformStep, Workflow, WorkflowEngine

    usage = TokenUsage(prompt_tokens=2, completion_tokens=3, model="bench", provider="fake")
    answers: dict[str, ChatResponse] = {}

    class Fake(ChatModel):
        provider_name = "fake"

        async def complete_async(self, request: ChatRequest) -> ChatResponse:
            text = await llm(request.prompt)
            answer = answers.get(text)
            if answer is None:
                answer = answers[text] = ChatResponse(content=text, model="bench", usage=usage)
            return answer

    steps = [
        TransformStep("pre", _of_names(pre, "text")),
        LLMStep("llm", "{pre}", provider=Fake()),
        TransformStep("post", _of_names(post, "llm")),
    ]
    return _on(WorkflowEngine(), Workflow(steps, "bench"))


class Nowhere:
    """A stream that keeps its last line only."""

    last: str | bytes = ""

    def write(self, line: str | bytes, /) -> int:
        """Take a line."""
        self.last = line
        return len(line)

    def flush(self) -> None:
        """Nothing is held back."""


def ours_with_lines() -> Run:
    """Every transition of run and steps as a JSON line."""
    from generative_ai_workflow.observability.logging import configure_logging

    configure_logging("INFO", stream=Nowhere())
    return ours()


def ours_durable() -> Run:
    """Every finished step is in a SQLite file before the next one begins."""
    from generative_ai_workflow import SQLiteRunStore, WorkflowEngine

    store = SQLiteRunStore(os.path.join(tempfile.mkdtemp(), "runs.sqlite"))
    return _on(WorkflowEngine(store=store), _three_transforms())


def _graph(**compiled_with: Any) -> Any:
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        text: str

    def node(function: Step) -> Callable[[Any], Awaitable[dict[str, str]]]:
        async def update(state: Any) -> dict[str, str]:
            return {"text": await function(state["text"])}

        return update

    graph, before = StateGraph(State), START
    for function in (pre, llm, post):
        graph.add_node(function.__name__, node(function))
        graph.add_edge(before, function.__name__)
        before = function.__name__
    graph.add_edge(before, END)
    return graph.compile(**compiled_with)


def langgraph() -> Run:
    """A compiled graph of coroutine functions."""
    app = _graph()

    async def run(text: str) -> str:
        return (await app.ainvoke({"text": text}))["text"]

    return run


def langgraph_with_memory() -> Run:
    """The same with a checkpoint in memory after every step."""
    from langgraph.checkpoint.memory import InMemorySaver

    app = _graph(checkpointer=InMemorySaver())
    numbers = itertools.count()

    async def run(text: str) -> str:
        config = {"configurable": {"thread_id": str(next(numbers))}}
        return (await app.ainvoke({"text": text}, config))["text"]

    return run


def langgraph_functional() -> Run:
    """Tasks and an entrypoint."""
    from langgraph.func import entrypoint, task

    first, second, third = (task(function) for function in (pre, llm, post))

    @entrypoint()
    async def flow(text: str) -> str:
        return await third(await second(await first(text)))

    async def run(text: str) -> str:
        return await flow.ainvoke(text)

    return run


def lcel() -> Run:
    """Three lambdas in a pipe."""
    from langchain_core.runnables import RunnableLambda

    chain: Any = RunnableLambda(pre) | RunnableLambda(llm) | RunnableLambda(post)

    async def run(text: str) -> str:
        return await chain.ainvoke(text)

    return run


def lcel_with_model() -> Run:
    """Prompt, chat model and parser in a pipe. Messages are made anew for each answer: the pipe writes into them."""
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnableLambda

    class Fake(BaseChatModel):  # type: ignore[misc]
        @property
        def _llm_type(self) -> str:
            return "fake"

        def _generate(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
            text = await llm(str(messages[-1].content))
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    chain: Any = (
        RunnableLambda(pre)
        | ChatPromptTemplate.from_messages([("user", "{text}")])
        | Fake()
        | StrOutputParser()
        | RunnableLambda(post)
    )

    async def run(text: str) -> str:
        return await chain.ainvoke(text)

    return run


def haystack() -> Run:
    """A pipeline of three components."""
    from haystack import Pipeline, component

    def made(function: Step) -> Any:
        @component
        class Component:
            @component.output_types(text=str)
            def run(self, text: str) -> dict[str, str]:
                raise NotImplementedError

            @component.output_types(text=str)
            async def run_async(self, text: str) -> dict[str, str]:
                return {"text": await function(text)}

        return Component()

    pipeline: Any = Pipeline()
    for function in (pre, llm, post):
        pipeline.add_component(function.__name__, made(function))
    pipeline.connect("pre.text", "llm.text")
    pipeline.connect("llm.text", "post.text")

    async def run(text: str) -> str:
        return (await pipeline.run_async({"pre": {"text": text}}))["post"]["text"]

    return run


def llama_index() -> Run:
    """A workflow of three steps with two events between them."""
    from workflows import Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    class First(Event):  # type: ignore[misc]
        text: str

    class Second(Event):  # type: ignore[misc]
        text: str

    # Steps are told apart by their annotations, which are looked up among the globals.
    globals().update(First=First, Second=Second, StartEvent=StartEvent, StopEvent=StopEvent)

    class Three(Workflow):  # type: ignore[misc]
        @step
        async def begin(self, event: StartEvent) -> First:
            return First(text=await pre(event.text))

        @step
        async def ask(self, event: First) -> Second:
            return Second(text=await llm(event.text))

        @step
        async def end(self, event: Second) -> StopEvent:
            return StopEvent(result=await post(event.text))

    workflow = Three(timeout=None)

    async def run(text: str) -> str:
        return await workflow.run(text=text)

    return run


def pydantic_graph() -> Run:
    """A graph of three steps."""
    from pydantic_graph import GraphBuilder, StepContext

    builder: Any = GraphBuilder(input_type=str, output_type=str)

    def made(function: Step) -> Any:
        async def node(context: Any) -> str:
            return await function(context.inputs)

        node.__name__ = function.__name__
        node.__annotations__ = {"context": StepContext[None, None, str], "return": str}
        return builder.step(node)

    nodes = [builder.start_node, *(made(function) for function in (pre, llm, post)), builder.end_node]
    builder.add(*(builder.edge_from(left).to(right) for left, right in itertools.pairwise(nodes)))
    graph = builder.build()

    async def run(text: str) -> str:
        return await graph.run(inputs=text)

    return run


def pydantic_ai() -> Run:
    """Not three steps but what its users run: one agent on a function model, between the other two functions."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import FunctionModel

    async def answer(messages: Any, _: Any) -> Any:
        return ModelResponse(parts=[TextPart(await llm(messages[-1].parts[-1].content))])

    agent: Any = Agent(FunctionModel(answer))

    async def run(text: str) -> str:
        return await post((await agent.run(await pre(text))).output)

    return run


def dbos() -> Run:
    """A durable workflow: input, steps and result are in a SQLite file."""
    with_newer_sqlite()
    from dbos import DBOS

    folder = tempfile.mkdtemp()
    config: Any = {
        "name": "bench",
        "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    first, second, third = (DBOS.step()(function) for function in (pre, llm, post))

    @DBOS.workflow()
    async def flow(text: str) -> str:
        return await third(await second(await first(text)))

    DBOS.launch()
    return flow


def with_newer_sqlite() -> None:
    """Use the SQLite of `pysqlite3`: DBOS needs one from 3.42 on."""
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3


def prefect() -> Run:
    """A flow of three tasks, with the server that it starts for itself."""
    os.environ["PREFECT_HOME"] = tempfile.mkdtemp()
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
    from prefect import flow, task

    first, second, third = (task(function) for function in (pre, llm, post))

    @flow
    async def three(text: str) -> str:
        return await third(await second(await first(text)))

    async def run(text: str) -> str:
        return await three(text)

    return run


FLOOR = "plain await"
OURS = "generative_ai_workflow"
CONVENIENT = f"{OURS}, `workflow.execute_async`"
WITH_MODEL = f"{OURS}, `LLMStep` in the middle"
WITH_LINES = f"{OURS}, INFO lines as JSON"
DURABLE = f"{OURS}, durable (SQLite)"
ENGINES = (
    Engine(FLOOR, plain_await),
    Engine("a loop by hand", by_hand),
    Engine(OURS, ours),
    Engine(CONVENIENT, ours_convenient),
    Engine(WITH_MODEL, ours_with_model),
    Engine(WITH_LINES, ours_with_lines),
    Engine(DURABLE, ours_durable),
    Engine("LangGraph", langgraph, "langgraph", "langgraph"),
    Engine("LangGraph, InMemorySaver", langgraph_with_memory, "langgraph", "langgraph"),
    Engine("LangGraph, functional", langgraph_functional, "langgraph", "langgraph"),
    Engine("LangChain LCEL", lcel, "langchain", "langchain-core"),
    Engine("LangChain LCEL, chat model", lcel_with_model, "langchain", "langchain-core"),
    Engine("Haystack", haystack, "haystack", "haystack-ai"),
    Engine("LlamaIndex workflows", llama_index, "llama_index", "llama-index-workflows"),
    Engine("pydantic-graph", pydantic_graph, "pydantic_ai", "pydantic-graph"),
    Engine("pydantic-ai, one agent run", pydantic_ai, "pydantic_ai", "pydantic-ai-slim"),
    Engine("DBOS (SQLite)", dbos, "dbos", "dbos", most=100, rounds=2),
    Engine("Prefect", prefect, "prefect", "prefect", most=10, rounds=2),
)
