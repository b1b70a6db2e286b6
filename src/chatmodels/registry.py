"""The global table of chat models: nothing is imported until a name is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chatmodels.capabilities import provider_capabilities
from chatmodels.families import DEFAULT_MODELS, WORDS
from chatmodels.foreign_words import capability_word, provider_hint
from chatmodels.iface import ChatModel
from fmf_core.errors import Code, ConfigurationError, PluginError, PluginRegistrationError
from fmf_core.nearest import nearest
from fmf_core.registry import Entry, Registry

Registered = type[ChatModel] | ChatModel | Callable[..., ChatModel]
"""What a name may stand for: a class, a ready instance, or a factory called with the settings that it takes."""

KEYS = ("description", "capabilities", "default_model", "extra")
"""The metadata that have a meaning here."""

BUILTIN = {
    "mock": Entry(
        "chatmodels.providers.mock:MockChatModel",
        metadata={
            "description": "Scripted answers without a network, for tests and examples",
            "capabilities": list(provider_capabilities("mock")),
            "default_model": DEFAULT_MODELS["mock"],
        },
        replaceable=True,
    ),
    "openai": Entry(
        "chatmodels.providers.openai:OpenAIChatModel",
        metadata={
            "description": "OpenAI, and every server that speaks one of its two interfaces",
            "capabilities": list(provider_capabilities("openai")),
            "default_model": DEFAULT_MODELS["openai"],
        },
    ),
    "azure_openai": Entry(
        "chatmodels.providers.azure_openai:AzureOpenAIChatModel",
        metadata={
            "description": "Models deployed in Azure OpenAI",
            "capabilities": list(provider_capabilities("azure_openai")),
            "default_model": DEFAULT_MODELS["azure_openai"],
        },
    ),
    "aws_bedrock": Entry(
        "chatmodels.providers.bedrock.model:BedrockChatModel",
        extra="aws",
        metadata={
            "description": "Models that AWS Bedrock offers: Claude, Nova, Llama, Mistral and others",
            "capabilities": list(provider_capabilities("aws_bedrock")),
            "default_model": DEFAULT_MODELS["aws_bedrock"],
        },
    ),
    "local": Entry(
        "chatmodels.providers.local:LocalChatModel",
        extra="local",
        metadata={
            "description": "A language model inside this process: a known name or any .gguf file",
            "capabilities": list(provider_capabilities("local")),
            "default_model": DEFAULT_MODELS["local"],
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
        metadata: what the provider can do: `description`, `capabilities` (words such as `images`), `extra`,
            `default_model` and whatever else is of use; on top of the `chat_model_metadata` of a class or a function.
        replace: whether to take the place of a model that is already registered.

    Raises:
        PluginRegistrationError: the name is taken, or the thing is no chat model.
        ConfigurationError: `metadata` has a key that is misspelt, or a capability that there is no word for.
    """
    declared = {**_declared(model), **(metadata or {})}
    _check_metadata(name, declared)
    models.add(name, model, metadata=declared, replace=replace)


def list_chat_models(*, capability: str | Iterable[str] | None = None) -> list[str]:
    """The names of all chat models, sorted: registered here, shipped, and published by installed distributions.

    Args:
        capability: one word (`"images"`) or several: only providers are listed whose metadata tell that they have a
            model with all of them. Those that distributions publish are imported for that.

    Raises:
        ConfigurationError: there is no such word; the hint lists them.
    """
    if capability is None:
        return models.names()
    wanted = {capability} if isinstance(capability, str) else set(capability)
    _check_capabilities(wanted, "chatmodels.list")
    return [name for name in models.names() if wanted <= set(get_chat_model_metadata(name)["capabilities"])]


def get_chat_model_metadata(name: str) -> dict[str, Any]:
    """What is known of a provider.

    What the house ships is not imported for that. Of those that distributions publish, it is the `chat_model_metadata`
    of their class or function, which is imported; one that cannot be imported tells nothing.

    Always holds `name`, `description`, `capabilities`, `extra` (the extra of this distribution that it needs, or `""`),
    `default_model` (or `None`) and `source` (`built-in`, `registered` or a distribution).

    Raises:
        PluginNotFoundError: nothing is registered under `name`; the hint lists what is.
    """
    known = models.metadata(name)
    if known["source"] not in ("built-in", "registered"):
        known = {**_declared_by_plugin(name), **known}
    return {"description": "", "capabilities": [], "default_model": None, **known}


def unregister_chat_model(name: str) -> None:
    """Take back a registration; what the house ships stays.

    Raises:
        PluginNotFoundError: nothing was registered under `name`.
    """
    models.remove(name)


def _declared(model: Any) -> dict[str, Any]:
    """What a class, an instance or a function says of itself."""
    kind = type(model) if isinstance(model, ChatModel) else model
    lines = (getattr(kind, "__doc__", None) or "").strip().splitlines()
    return {"description": lines[0].strip() if lines else "", **getattr(kind, "chat_model_metadata", {})}


def _declared_by_plugin(name: str) -> dict[str, Any]:
    try:
        declared = _declared(models.get(name))
    except PluginError:
        return {}
    _check_metadata(name, declared)
    return declared


def _check_metadata(name: str, metadata: Mapping[str, Any]) -> None:
    for key in metadata:
        meant = None if key in KEYS else nearest(key, KEYS, cutoff=0.8)
        if meant is not None:
            raise ConfigurationError(
                f"metadata of chat model {name!r}: {key!r} is misspelt",
                op="registry.add",
                hint=f"did you mean {meant!r}? known: {', '.join(KEYS)}; keys of your own need names of their own",
            )
    capabilities = metadata.get("capabilities", ())
    if isinstance(capabilities, str) or not isinstance(capabilities, Iterable):
        raise ConfigurationError(
            f"metadata of chat model {name!r}: capabilities is {type(capabilities).__name__}, but should be a list",
            op="registry.add",
            hint=f"give a list of words: {', '.join(WORDS)}",
        )
    _check_capabilities(capabilities, "registry.add")


def _check_capabilities(capabilities: Iterable[Any], op: str) -> None:
    for word in capabilities:
        if word in WORDS:
            continue
        meant = capability_word(str(word)) or nearest(str(word), WORDS)
        guess = f"did you mean {meant!r}? " if meant else ""
        raise ConfigurationError(f"there is no capability {word!r}", op=op, hint=f"{guess}known: {', '.join(WORDS)}")
