"""One function for each client: it is given the server's address and gives what asks once, whole and as a stream.

Nothing is imported before it is needed, so that every environment can import this file.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

PROMPT = "A line of a plain report about bicycles and their parts. " * 50
MODEL = "bench"
KEY = "key-of-nobody"
Ask = Callable[[], Awaitable[str]]
Made = tuple[Ask, Ask]


@dataclass(frozen=True)
class Client:
    """A client and where it lives."""

    name: str
    make: Callable[[str], Made]
    environment: str | None = None
    """Whose packages it needs; `None` is the environment of the project itself."""
    distribution: str = ""
    """Whose version stands in the table."""


def _body(*, stream: bool = False) -> dict[str, Any]:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "temperature": 0.0}
    return {**asked, "stream": True} if stream else asked


def provider_alone(base_url: str) -> Made:
    """Ours without any wrapper."""
    from chatmodels.providers.openai import OpenAIChatModel

    return _of_model(OpenAIChatModel(base_url=base_url, api_key=KEY, model=MODEL))


def ours(base_url: str) -> Made:
    """Ours as users get it."""
    from chatmodels import create_chat_model

    return _of_model(create_chat_model("openai", base_url=base_url, api_key=KEY, model=MODEL))


def _of_model(model: Any) -> Made:
    from chatmodels import ChatRequest

    async def ask() -> str:
        return str((await model.complete_async(ChatRequest(prompt=PROMPT, temperature=0.0))).content)

    async def stream() -> str:
        request = ChatRequest(prompt=PROMPT, temperature=0.0)
        return "".join([chunk.text async for chunk in model.stream_async(request)])

    return ask, stream


def aiohttp_alone(base_url: str) -> Made:
    """The least that can be done with aiohttp: no checks, no types, no retries."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    session = aiohttp.ClientSession(connector=connector, headers={"authorization": f"Bearer {KEY}"})
    url = f"{base_url}/chat/completions"

    async def ask() -> str:
        async with session.post(url, json=_body()) as reply:
            return (await reply.json())["choices"][0]["message"]["content"]

    async def stream() -> str:
        said, rest = [], b""
        async with session.post(url, json=_body(stream=True)) as reply:
            async for data in reply.content.iter_any():
                *events, rest = (rest + data).split(b"\n\n")
                said += [_text_of(event[6:]) for event in events if event[6:12] != b"[DONE]"]
        return "".join(said)

    return ask, stream


def _text_of(data: bytes) -> str:
    return json.loads(data)["choices"][0]["delta"].get("content", "")


def sdk(base_url: str, **settings: Any) -> Made:
    """The vendor's client on httpx, its retries off."""
    from openai import AsyncOpenAI

    client: Any = AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0, **settings)

    async def ask() -> str:
        return (await client.chat.completions.create(**_body())).choices[0].message.content

    async def stream() -> str:
        pieces = await client.chat.completions.create(**_body(stream=True))
        return "".join([piece.choices[0].delta.content or "" async for piece in pieces])

    return ask, stream


def sdk_on_aiohttp(base_url: str) -> Made:
    """The vendor's client on aiohttp, its retries off."""
    from openai import DefaultAioHttpClient

    return sdk(base_url, http_client=DefaultAioHttpClient())


def langchain(base_url: str) -> Made:
    """LangChain, its retries off."""
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI

    model: Any = ChatOpenAI(model=MODEL, base_url=base_url, api_key=KEY, temperature=0, max_retries=0)

    async def ask() -> str:
        return (await model.ainvoke([HumanMessage(PROMPT)])).content

    async def stream() -> str:
        return "".join([piece.content async for piece in model.astream([HumanMessage(PROMPT)])])

    return ask, stream


def pydantic_ai(base_url: str) -> Made:
    """pydantic-ai, without an agent around."""
    from pydantic_ai.direct import model_request, model_request_stream
    from pydantic_ai.messages import ModelRequest, UserPromptPart
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=base_url, api_key=KEY))
    settings: Any = {"temperature": 0.0}

    def messages() -> list[Any]:
        return [ModelRequest(parts=[UserPromptPart(PROMPT)])]

    async def ask() -> str:
        answer: Any = await model_request(model, messages(), model_settings=settings)
        return answer.parts[0].content

    async def stream() -> str:
        said = []
        async with model_request_stream(model, messages(), model_settings=settings) as events:
            async for event in events:
                if event.event_kind == "part_start":
                    said.append(event.part.content)
                elif event.event_kind == "part_delta":
                    said.append(event.delta.content_delta)
        return "".join(said)

    return ask, stream


def haystack(base_url: str) -> Made:
    """Haystack, without a pipeline around, its retries off."""
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.utils import Secret

    model: Any = OpenAIChatGenerator(
        api_key=Secret.from_token(KEY),
        model=MODEL,
        api_base_url=base_url,
        generation_kwargs={"temperature": 0.0},
        max_retries=0,
    )

    async def ask() -> str:
        return (await model.run_async([ChatMessage.from_user(PROMPT)]))["replies"][0].text

    async def stream() -> str:
        said: list[str] = []

        async def take(piece: Any) -> None:
            said.append(piece.content)

        await model.run_async([ChatMessage.from_user(PROMPT)], streaming_callback=take)
        return "".join(said)

    return ask, stream


def litellm(base_url: str) -> Made:
    """LiteLLM as a library."""
    import litellm as library

    library.suppress_debug_info = True
    asked = {"model": f"openai/{MODEL}", "api_base": base_url, "api_key": KEY, "max_retries": 0}

    async def ask() -> str:
        reply: Any = await library.acompletion(**{**_body(), **asked})
        return reply.choices[0].message.content

    async def stream() -> str:
        pieces: Any = await library.acompletion(**{**_body(stream=True), **asked})
        return "".join([piece.choices[0].delta.content or "" async for piece in pieces])

    return ask, stream


OURS = "chatmodels, `create_chat_model`"
CLIENTS = (
    Client("aiohttp alone", aiohttp_alone, "aiohttp", "aiohttp"),
    Client(OURS, ours),
    Client("chatmodels, provider alone", provider_alone),
    Client("AsyncOpenAI", sdk, "openai", "openai"),
    Client("AsyncOpenAI on aiohttp", sdk_on_aiohttp, "openai", "openai"),
    Client("LangChain", langchain, "langchain", "langchain-openai"),
    Client("pydantic-ai", pydantic_ai, "pydantic_ai", "pydantic-ai-slim"),
    Client("Haystack", haystack, "haystack", "haystack-ai"),
    Client("LiteLLM", litellm, "litellm", "litellm"),
)
