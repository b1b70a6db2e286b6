"""How a step's request finds its chat model: by name or as it is, built once, with the engine's retries around it."""

from __future__ import annotations

from typing import Any

from chatmodels.config import ChatModelConfig
from chatmodels.iface import ChatModel
from chatmodels.registry import models
from chatmodels.types import ChatRequest
from chatmodels.wrappers.base import WrappedModel
from fmf_core.forks import Lock
from fmf_core.redact import add_secret
from generative_ai_workflow.config import DEFAULT_PROVIDER, FrameworkConfig

_REMEMBERED = 256


class ModelRack:
    """The chat models of one engine, each put together when it is first asked for.

    Args:
        config: the settings that built-in and registered providers get.
        default: the model for requests that name none; `None` leaves it to the workflow, then to `openai`.
    """

    def __init__(self, config: FrameworkConfig, default: ChatModel | None = None) -> None:
        self.config = config
        self.default = default
        self.to_initialize: set[int] = set()
        """The ids of those models that want to get ready before the first request of a run."""
        self._lock = Lock()
        # Keyed by what was registered and not only by its name: a name may come to stand for something else.
        self._named: dict[tuple[str, int, str | None], tuple[Any, ChatModel]] = {}
        self._given: dict[int, tuple[ChatModel, ChatModel]] = {}

    def pick(self, model: ChatModel | str | None, provider: ChatModel | str | None, request: ChatRequest) -> ChatModel:
        """The model that answers `request`.

        Args:
            model: what the step asks for, a provider's name or a chat model.
            provider: what the workflow says.
            request: its `model`, where one was chosen, is what a named provider is built for.
        """
        chosen = model or self.default or provider or DEFAULT_PROVIDER
        if isinstance(chosen, str):
            return self._by_name(chosen, request.named_model)
        known = self._given.get(id(chosen))
        return known[1] if known is not None else self._wrapped(chosen)

    def _by_name(self, name: str, model: str | None) -> ChatModel:
        item = models.get(name)
        # The default provider takes the model from each request, so one client serves them all.
        key = (name, id(item), None if name == DEFAULT_PROVIDER else model)
        known = self._named.get(key)
        if known is None:
            with self._lock():
                known = self._named.get(key) or (item, self._build(name, key[2]))
                self._remember(self._named, key, known)
        return known[1]

    def _build(self, name: str, model: str | None) -> ChatModel:
        from chatmodels.factory import create_chat_model

        key = self.config.openai_api_key.get_secret_value()
        if key:
            add_secret(key)
        return create_chat_model(self.config.chat_model(name, model))

    def _wrapped(self, model: ChatModel) -> ChatModel:
        from chatmodels.factory import wrap

        with self._lock():
            known = self._given.get(id(model)) or (model, wrap(model, ChatModelConfig(retry=self.config.retry)))
            self._remember(self._given, id(model), known)
        return known[1]

    def _remember(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if len(table) >= _REMEMBERED:
            # The oldest goes: a program that makes a model for every run must not grow for ever.
            self.to_initialize.discard(id(table.pop(next(iter(table)))[1]))
        table[key] = value
        model = value[1]
        inside = model.unwrapped if isinstance(model, WrappedModel) else model
        if ChatModel.initialize not in (type(model).initialize, type(inside).initialize):
            self.to_initialize.add(id(model))
