"""The global table of chat models: nothing is imported until a name is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chatmodels.capabilities import provider_capabilities
from chatmodels.foreign_words import provider_hint
from chatmodels.iface import ChatModel
from fmf_core.errors import Code, PluginRegistrationError
from fmf_core.registry import Entry, Registry

Registered = type[ChatModel] | ChatModel | Callable[..., ChatModel]
"""What a name may stand for: a class, a ready instance, or a factory called with the settings that it takes."""

BUILTIN = {
    "mock": Entry(
        "chatmodels.providers.mock:MockChatModel",
        metadata={
            "description": "Scripted answers without a network, for tests and examples",
            "capabilities": list(provider_capabilities("mock")),
            "default_model": "mock",
        },
        replaceable=True,
    ),
    "openai": Entry(
        "chatmodels.providers.openai:OpenAIChatModel",
        metadata={
            "description": "OpenAI, and every server that speaks one of its two interfaces",
            "capabilities": list(provider_capabilities("openai")),
            "default_model": "gpt-4o-mini",
        },
    ),
    "azure_openai": Entry(
        "chatmodels.providers.azure_openai:AzureOpenAIChatModel",
        metadata={
            "description": "Models deployed in Azure OpenAI",
            "capabilities": list(provider_capabilities("azure_openai")),
            "default_model": "gpt-4o-mini",
        },
    ),
    "aws_bedrock": Entry(
        "chatmodels.providers.bedrock:BedrockChatModel",
        extra="aws",
        metadata={
            "description": "Models that AWS Bedrock offers: Claude, Nova, Llama, Mistral and others",
            "capabilities": list(provider_capabilities("aws_bedrock")),
            "default_model": "amazon.nova-lite-v1:0",
        },
    ),
    "local": Entry(
        "chatmodels.providers.local:LocalChatModel",
        extra="local",
        metadata={
            "description": "A language model inside this process: a known name or any .gguf file",
            "capabilities": list(provider_capabilities("local")),
            "default_model": "smollm2-135m-instruct",
        },
    ),
}


def _check(name: str, item: Any) -> None:
    if isinstance(item, ChatModel):
        return
    if issubclass(item, ChatModel) if isinstance(item, type) else callable(item):
        return
    raise PluginRegistrationError(
        f"{item!r} cannot be registered as chat model {name!r}: it is no ChatModel",
        op="registry.add",
        code=Code.INVALID,
        hint="give a subclass of ChatModel, an instance of one, or a function that returns one",
    )


models: Registry[Registered] = Registry(
    "chat model", BUILTIN, group="chatmodels.providers", check=_check, advise=provider_hint
)


def register_chat_model(
    name: str, model: Registered, *, metadata: Mapping[str, Any] | None = None, replace: bool = False
) -> None:
    """Publish a chat model under `name`, for `create_chat_model(name)` and everything above it.

    Args:
        name: what users write as provider.
        model: a subclass of `ChatModel`, an instance, or a function that returns one. A class or a function is called
            with those of `model`, `api_key`, `base_url`, `timeout_s`, `seed` and the provider's own settings that it
            takes.
        metadata: what the provider can do, readable without importing it: `description`, `capabilities`, `extra`,
            `default_model` and whatever else is of use.
        replace: whether to take the place of a model that is already registered.

    Raises:
        PluginRegistrationError: the name is taken, or the thing is no chat model.
    """
    models.add(name, model, metadata={**_described(model), **(metadata or {})}, replace=replace)


def list_chat_models(*, capability: str | Iterable[str] | None = None) -> list[str]:
    """The names of all chat models, sorted: registered here, shipped, and published by installed distributions.

    Args:
        capability: one word (`"images"`) or several: only providers are listed whose metadata tell that they have a
            model with all of them. Distributions publish no metadata.
    """
    if capability is None:
        return models.names()
    wanted = {capability} if isinstance(capability, str) else set(capability)
    return [name for name in models.names() if wanted <= set(get_chat_model_metadata(name)["capabilities"])]


def get_chat_model_metadata(name: str) -> dict[str, Any]:
    """What is known of a provider without importing it.

    Always holds `name`, `description`, `capabilities`, `extra` (the extra of this distribution that it needs, or `""`),
    `default_model` (or `None`) and `source` (`built-in`, `registered` or a distribution).

    Raises:
        PluginNotFoundError: nothing is registered under `name`; the hint lists what is.
    """
    return {"description": "", "capabilities": [], "default_model": None, **models.metadata(name)}


def unregister_chat_model(name: str) -> None:
    """Take back a registration; what the house ships stays.

    Raises:
        PluginNotFoundError: nothing was registered under `name`.
    """
    models.remove(name)


def _described(model: Any) -> dict[str, Any]:
    kind = type(model) if isinstance(model, ChatModel) else model
    lines = (getattr(kind, "__doc__", None) or "").strip().splitlines()
    return {"description": lines[0].strip() if lines else ""}
