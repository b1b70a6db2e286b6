"""What somebody writes who has many files and one question: a process that reads a folder, asks, and writes lines.

`python -m benchmarks.peers.many_files NAME URL FOLDER OUT`, in the environment of the contender.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

AT_ONCE = 64
MODEL = "bench"
ASK = "Summarise this document in three sentences.\n\n"


def paths(folder: str) -> list[Path]:
    """The files, in their order."""
    return sorted(Path(folder).rglob("*.md"))


def line(path: Path, answer: Any, usage: Any) -> str:
    """What is kept of one answer."""
    return json.dumps({"file": str(path), "answer": answer, "usage": usage}, default=str) + "\n"


async def by_workers(call: Callable[[str], Awaitable[tuple[Any, Any]]], folder: str, out: str) -> None:
    """Read a file when one of 64 workers is free, and write its line when its answer comes."""
    todo = iter(paths(folder))
    with open(out, "w", encoding="utf-8") as file:

        async def worker() -> None:
            for path in todo:
                answered = await call(path.read_text(encoding="utf-8"))
                file.write(line(path, *answered))

        await asyncio.gather(*[worker() for _ in range(AT_ONCE)])


async def async_openai(url: str, folder: str, out: str) -> None:
    """The script that most people write: all tasks at once, a semaphore, one file of lines."""
    from openai import AsyncOpenAI

    client, gate = AsyncOpenAI(base_url=url, api_key="none", max_retries=0), asyncio.Semaphore(AT_ONCE)
    with open(out, "w", encoding="utf-8") as file:

        async def one(path: Path) -> None:
            async with gate:
                messages = [{"role": "user", "content": ASK + path.read_text(encoding="utf-8")}]
                reply = await client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[call-overload]
            file.write(line(path, reply.choices[0].message.content, reply.usage.model_dump()))

        await asyncio.gather(*[one(path) for path in paths(folder)])


async def aiohttp(url: str, folder: str, out: str) -> None:
    """The least that Python can do with a good client: nothing is checked, tried again or kept."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(text: str) -> tuple[Any, Any]:
            body = {"model": MODEL, "messages": [{"role": "user", "content": ASK + text}]}
            async with session.post(f"{url}/chat/completions", json=body) as reply:
                told = json.loads(await reply.read())
            return told["choices"][0]["message"]["content"], told["usage"]

        await by_workers(call, folder, out)


async def langchain(url: str, folder: str, out: str) -> None:
    """A prompt and a model, `abatch` with `max_concurrency`."""
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, base_url=url, api_key="none", max_retries=0)
    chain = ChatPromptTemplate.from_messages([("user", ASK + "{text}")]) | model
    files = paths(folder)
    texts = [{"text": path.read_text(encoding="utf-8")} for path in files]
    replies = await chain.abatch(texts, {"max_concurrency": AT_ONCE})
    with open(out, "w", encoding="utf-8") as file:
        pairs = zip(files, replies, strict=True)
        file.writelines(line(path, reply.content, reply.usage_metadata) for path, reply in pairs)


async def haystack(url: str, folder: str, out: str) -> None:
    """A pipeline of a prompt and a generator, run by 64 workers."""
    from haystack import Pipeline
    from haystack.components.builders import ChatPromptBuilder
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.utils import Secret

    pipeline = Pipeline()
    template = [ChatMessage.from_user(ASK + "{{ text }}")]
    pipeline.add_component("prompt", ChatPromptBuilder(template, required_variables=["text"]))
    key = Secret.from_token("none")
    generator = OpenAIChatGenerator(api_key=key, model=MODEL, api_base_url=url, max_retries=0)
    pipeline.add_component("model", generator)
    pipeline.connect("prompt.prompt", "model.messages")

    async def call(text: str) -> tuple[Any, Any]:
        found = await pipeline.run_async({"prompt": {"text": text}})
        reply = found["model"]["replies"][0]
        return reply.text, reply.meta.get("usage")

    await by_workers(call, folder, out)


BY_NAME = {"openai": async_openai, "aiohttp": aiohttp, "langchain": langchain, "haystack": haystack}


def main(words: Sequence[str]) -> None:
    """Do all the work of one contender."""
    name, url, folder, out = words
    asyncio.run(BY_NAME[name](url, folder, out))


if __name__ == "__main__":
    main(sys.argv[1:])
