"""Personal data leaves as tokens and comes back as itself: pseudonyms around every model call of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any
from weakref import WeakValueDictionary

from chatmodels.types import ChatRequest, ChatResponse, Message, Part, TextPart, ToolCall
from fmf_core.errors import ConfigurationError
from fmf_core.forks import Lock
from fmf_core.logs import get_logger
from fmf_core.nearest import nearest
from fmf_core.portal import in_thread
from fmf_core.pseudonyms import Pseudonyms, hide_values, restore_values
from generative_ai_workflow.exceptions import AbortError
from generative_ai_workflow.middleware.base import Middleware
from generative_ai_workflow.state import WorkflowResult

_log = get_logger("generative_ai_workflow")
LONG = 4_000
"""Requests and answers of more characters than this are worked on in a thread."""
MOST_TOLD = 1_000
"""How many missing inputs one middleware tells of."""

# The tokens that each middleware sent with the call which this task is about: an answer may name no others.
_sent: ContextVar[Mapping[int, frozenset[str]]] = ContextVar("generative_ai_workflow.pseudonyms", default={})  # noqa: B039


# The tables of the runs that began in this context.
_kept: ContextVar[tuple[_Table, ...]] = ContextVar("generative_ai_workflow.pseudonyms.tables", default=())


class _Table:
    """The pseudonyms of a run, or of several that share an id."""

    __slots__ = ("__weakref__", "names", "runs")

    def __init__(self, names: Pseudonyms) -> None:
        self.names = names
        self.runs = 0


class PseudonymMiddleware(Middleware):
    """Models get `[EMAIL_1]` instead of an address; steps get answers with the address in its place.

    Prompt, system prompt, all messages and the arguments of tool calls are searched as by `find_pii`. What an answer
    says, and the arguments of the tools that it asks for, are restored; only tokens that were in its own request count.
    Each run has a table of its own, which lives in memory until the run has ended; runs that share a `correlation_id`
    at the same time share one. When anything fails here the run ends as FAILED: nothing is sent, and no answer goes on
    with tokens in it.

    Use it last, so that what other middleware adds to a request is seen too. Pictures, addresses of pictures, schemas
    and descriptions of tools go out as they are.

        engine = WorkflowEngine().use(PseudonymMiddleware(inputs={"customer": "person"}))

    Args:
        kinds: which kinds of personal data are replaced; default is all of them.
        known: what no shape can tell, by kind, in every run: `{"person": ["Ann Example"]}`.
        inputs: the same for inputs of a run: their names to their kinds. The input is a text, a number, or a list or
            dict of such, however deep; the values of a dict count, its keys do not. With anything else the run fails.
            A name that the inputs of a run do not have hides nothing: a log line `pseudonyms.unknown_input` tells of
            it, once for each workflow and name.

    Raises:
        ConfigurationError: a kind is not known, or no word.
    """

    is_critical = True

    def __init__(
        self,
        kinds: Collection[str] | None = None,
        known: Mapping[str, Iterable[str]] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self._kinds = kinds
        self._known = {kind: tuple(values) for kind, values in (known or {}).items()}
        self._inputs = dict(inputs or {})
        self._lock = Lock()
        # A run's own context keeps its table: where nobody says that it has ended, the table goes with it.
        self._tables: WeakValueDictionary[str, _Table] = WeakValueDictionary()
        self._told: set[tuple[str, str]] = set()
        made = self._made()
        for kind in self._inputs.values():
            made.add(kind)

    async def on_workflow_start(self, workflow_id: str, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Take what the inputs of the run say is personal."""
        try:
            names = self._begun(context["correlation_id"]).names
            given = context.get("input_data", {})
            for name, kind in self._inputs.items():
                if name in given:
                    names.add(kind, *_texts(given[name], name))
                else:
                    self._tell_missing(name, given, str(context.get("workflow", "")))
        except Exception as error:
            raise self._refusal("the inputs could not be read", error) from error

    async def before_llm_call(self, request: ChatRequest, context: dict[str, Any]) -> ChatRequest:
        """The request with tokens in the places of personal data."""
        try:
            names = self._names(context)
            long = sum(len(message.text) for message in request.messages) > LONG
            hidden = await in_thread(_hidden, names, request) if long else _hidden(names, request)
            _sent.set({**_sent.get(), id(self): _tokens(names, hidden)})
        except AbortError:
            raise
        except Exception as error:
            raise self._refusal("personal data could not be replaced, so nothing was sent", error) from error
        return hidden

    async def after_llm_call(self, response: ChatResponse, context: dict[str, Any]) -> ChatResponse:
        """The answer with personal data in the places of tokens."""
        names = self._names(context)
        only = _sent.get().get(id(self))
        try:
            if len(response.content) > LONG:
                return await in_thread(_restored, names, response, only)
            return _restored(names, response, only)
        except Exception as error:
            raise self._refusal("the answer could not be restored", error) from error

    async def on_workflow_end(self, result: WorkflowResult, context: dict[str, Any]) -> None:  # noqa: ARG002
        """Forget the table of the run, unless another run of that id still uses it."""
        with self._lock():
            table = self._tables.get(context["correlation_id"])
            if table is None:
                return
            table.runs -= 1
            if table.runs <= 0:
                del self._tables[context["correlation_id"]]
        # A run inside another one of the same id began in the same context: only its own entry goes.
        kept = list(_kept.get())
        if table in kept:
            kept.remove(table)
        _kept.set(tuple(kept))

    def _tell_missing(self, name: str, given: Mapping[str, Any], workflow: str) -> None:
        with self._lock():
            if (workflow, name) in self._told or len(self._told) >= MOST_TOLD:
                return
            self._told.add((workflow, name))
        near = nearest(name, given)
        guess = f"did you mean {near!r}? " if near else ""
        hint = f"{guess}without this input, nothing of it is hidden; look at inputs= of PseudonymMiddleware"
        _log.warning("pseudonyms.unknown_input", workflow=workflow, input=name, hint=hint)

    def _begun(self, run: str) -> _Table:
        with self._lock():
            table = self._tables.get(run)
            if table is None:
                self._tables[run] = table = _Table(self._made())
            table.runs += 1
        _kept.set((*_kept.get(), table))
        return table

    def _names(self, context: dict[str, Any]) -> Pseudonyms:
        table = self._tables.get(context["correlation_id"])
        if table is None:
            raise AbortError("pseudonyms: the table of the run is gone: the run, or one of the same id, has ended")
        return table.names

    def _made(self) -> Pseudonyms:
        return Pseudonyms(self._kinds, self._known)

    @staticmethod
    def _refusal(what: str, error: Exception) -> AbortError:
        # What the error says may hold what was to be hidden; a fault of the settings does not.
        told = error.message if isinstance(error, ConfigurationError) else type(error).__name__
        return AbortError(f"pseudonyms: {what} ({told})")


def _hidden(names: Pseudonyms, request: ChatRequest) -> ChatRequest:
    messages = tuple(_hidden_message(names, message) for message in request.messages)
    hidden = request.model_copy()
    # All three views change together, and what the caller gave stays what it was.
    hidden.__dict__.update(
        messages=messages, prompt=_last(messages, "user") or "", system_prompt=_last(messages, "system")
    )
    return hidden


def _hidden_message(names: Pseudonyms, message: Message) -> Message:
    content = message.content
    parts: str | tuple[Part, ...] = (
        names.hide(content)
        if isinstance(content, str)
        else tuple(TextPart(text=names.hide(p.text)) if isinstance(p, TextPart) else p for p in content)
    )
    calls = tuple(_with_arguments(call, hide_values(names, call.arguments)) for call in message.tool_calls)
    return message.model_copy(update={"content": parts, "tool_calls": calls} if calls else {"content": parts})


def _restored(names: Pseudonyms, response: ChatResponse, only: frozenset[str] | None) -> ChatResponse:
    calls = tuple(_with_arguments(call, restore_values(names, call.arguments, only)) for call in response.tool_calls)
    return response.model_copy(update={"content": names.restore(response.content, only), "tool_calls": calls})


def _with_arguments(call: ToolCall, arguments: dict[str, Any]) -> ToolCall:
    return call.model_copy(update={"arguments": arguments})


def _tokens(names: Pseudonyms, request: ChatRequest) -> frozenset[str]:
    found = [names.tokens_in(message.text) for message in request.messages]
    found += [names.tokens_in(str(call.arguments)) for message in request.messages for call in message.tool_calls]
    return frozenset().union(*found)


def _last(messages: tuple[Message, ...], role: str) -> str | None:
    return next((message.text for message in reversed(messages) if message.role == role), None)


def _texts(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item, name)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif value is not None and not isinstance(value, bool):
        raise ConfigurationError(
            f"input {name!r} holds a {type(value).__name__}, in which nothing can be looked for",
            op="pseudonyms.inputs",
            hint="give a text, a number, or a list or dict of such",
        )
