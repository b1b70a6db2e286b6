"""The steps that the house ships: asking a model, and applying a function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from chatmodels.iface import ChatModel
from chatmodels.structured.asking import Answerer, Effort, answer_json
from chatmodels.structured.telling import RefusedFormats
from chatmodels.types import ChatRequest, ChatResponse, ImagePart, Message, ResponseFormat, TextPart
from fmf_core.faults import faults_text
from fmf_core.portal import in_thread
from fmf_core.value import Value, record
from generative_ai_workflow.config import WorkflowConfig
from generative_ai_workflow.context import StepContext
from generative_ai_workflow.exceptions import Code, DefinitionError, StepError
from generative_ai_workflow.reference import Path, ReferenceText, compile_value, evaluate, references, text_of
from generative_ai_workflow.state import StepResult, StepStatus
from generative_ai_workflow.template import Syntax, Template, warn_of_suspects
from generative_ai_workflow.workflow_step import BuiltInStep, Retry, WorkflowStep, check_name

__all__ = [
    "Example",
    "LLMStep",
    "OutputSpec",
    "StepContext",
    "StepResult",
    "StepStatus",
    "TransformStep",
    "WorkflowStep",
]


class TransformStep(BuiltInStep):
    """Applies a function to everything known so far.

    The function takes one dict: the input, the variables and the keys of all earlier outputs, later ones winning. A
    dict that it returns is the step's output; any other value stands under the step's name; both stand under
    `{name}_output` as well. A plain function runs in a thread, so that it may block; a coroutine function is awaited.

        TransformStep("clean", lambda names: {"text": names["text"].strip()})

    Args:
        name: the step's name.
        transform: the function.
        is_critical: whether its failure ends the run.
        inline: run a plain function on the event loop instead, which saves some 50 microseconds; only for functions
            that return at once, for nothing else runs meanwhile and no time-out can interrupt it.
        retry: as with `WorkflowStep`.
        timeout: as with `WorkflowStep`.
    """

    def __init__(
        self,
        name: str,
        transform: Callable[[dict[str, Any]], Any],
        is_critical: bool = True,
        *,
        inline: bool = False,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(check_name(name), is_critical, retry=retry, timeout=timeout)
        if not callable(transform):
            raise DefinitionError(
                f"step {name!r}: the transform must be a function, got {transform!r}", op="transform_step.define"
            )
        self.transform = transform
        self.output_key = self._whole_key = f"{name}_output"
        self._on_loop = inline or _is_async(transform)

    def perform(self, context: StepContext) -> Any:
        """What the function makes of the names."""
        names = dict(context.names)
        return self.transform(names) if self._on_loop else self._in_thread(names)

    async def _in_thread(self, names: dict[str, Any]) -> Any:
        value = await in_thread(self.transform, names)
        return await value if inspect.isawaitable(value) else value

    def outputs(self, value: Any) -> dict[str, Any]:
        """The keys of the dict that the function returned, or its value under the step's name."""
        if isinstance(value, dict):
            return {**value, self._whole_key: value}
        return {self.name: value, self._whole_key: value}


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


class OutputSpec(Value):
    """What a step's answer is called and what it must look like."""

    model_config = Value.model_config | {"populate_by_name": True}

    name: str | None = Field(default=None, min_length=1)
    """The key of the answer; default is the step's name."""
    expects: Literal["text", "json"] = "text"
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    """A JSON Schema that the answer must fit; implies `expects: json`."""
    parse_retries: int = Field(default=1, ge=0, le=10)
    """How often the model is asked again when its answer cannot be used."""

    @model_validator(mode="before")
    @classmethod
    def _schema_means_json(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "expects" not in data and (data.get("schema") or data.get("json_schema")):
            return {**data, "expects": "json"}
        return data


Example = tuple[Any, Any] | Mapping[str, Any]
"""A few-shot turn: (input, output), or a mapping with these two keys."""


class LLMStep(BuiltInStep):
    """Fills a prompt and asks a chat model.

    Its outputs: the answer under the name of `output` (default: the step's name) and under `{name}_output`, and the
    answer's text under `llm_response`.

        LLMStep("summary", "Sum up in one sentence: {text}", provider="openai", temperature=0.0)

    Args:
        name: the step's name.
        prompt: a template; `{name}` and `{{ name }}` are filled from input, variables and earlier outputs. Other braces
            stay as they are; `{{ a.b }}` and its like are told in a log line, `template.unfilled`.
        provider: the name of a registered provider, or a chat model; default is the workflow's, then the engine's, then
            `openai`.
        model: the model to ask for.
        temperature: from 0.0 to 2.0.
        max_tokens: the longest answer, in tokens.
        system_prompt: a template as well.
        is_critical: whether its failure ends the run.
        inputs: further names for the template; a text may hold references (`"${steps.clean}"`).
        examples: few-shot turns before the prompt; an input that is a mapping fills the template, a text is the turn.
        seed: for repeatable answers where the provider knows them.
        stop: texts that end the answer.
        output: the answer's name, or an `OutputSpec`.
        syntax: `"double"` leaves `{name}` alone and fills `{{ name }}` only.
        metadata: facts about the prompt for hooks and records, such as its id and version.
        images: pictures that go with the prompt, behind its text: `ImagePart`s, or a reference to one or several of
            them, such as `"${input.photos}"`.
        retry: of the whole step, as with `WorkflowStep`; the retries of each model call are the engine's.
        timeout: as with `WorkflowStep`.

    Raises:
        DefinitionError: a setting is out of its range; the message names all faults.
    """

    def __init__(  # noqa: PLR0917 - the order is part of the contract
        self,
        name: str,
        prompt: str | Template,
        provider: str | ChatModel | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        system_prompt: str | None = None,
        is_critical: bool = True,
        *,
        inputs: Mapping[str, Any] | None = None,
        examples: Iterable[Example] = (),
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        output: str | OutputSpec | Mapping[str, Any] | None = None,
        syntax: Syntax = "both",
        metadata: Mapping[str, Any] | None = None,
        images: str | Sequence[ImagePart] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(check_name(name), is_critical, retry=retry, timeout=timeout)
        self.template = _as_template(name, prompt, syntax)
        self.provider = _as_provider(name, provider)
        self.settings = _as_settings(
            name, {"model": model, "temperature": temperature, "max_tokens": max_tokens, "seed": seed, "stop": stop}
        )
        self.system = None if system_prompt is None else Template(system_prompt, syntax)
        if syntax == "both":
            warn_of_suspects(name, self.template, self.system)
        self.inputs = {key: compile_value(value) for key, value in (inputs or {}).items()}
        self.examples = tuple(turn for example in examples for turn in self._turns(example))
        self.images = _as_images(name, images)
        self.output = _as_output(name, output)
        self.output_key = self.output.name or name
        self.metadata = dict(metadata or {})
        self._syntax: Syntax = syntax
        self._prepared: _Prepared | None = None
        self._refused_formats = RefusedFormats()

    @property
    def prompt(self) -> str:
        """The template's text."""
        return self.template.text

    @property
    def references(self) -> tuple[Path, ...]:
        """The `${...}` paths that the inputs and the pictures mention."""
        values = [*self.inputs.values(), self.images]
        return tuple(dict.fromkeys(path for value in values for path in references(value)))

    async def perform(self, context: StepContext) -> dict[str, Any]:
        """The model's answer."""
        request = self.request(context)
        spec = self.output
        value: Any
        if spec.expects == "json":
            value, text = await self._ask_for_json(context, request)
        else:
            value = text = _text_in(await context.ask(request, self.provider), request)
        return {str(self.output_key): value, f"{self.name}_output": value, "llm_response": text}

    async def _ask_for_json(self, context: StepContext, request: ChatRequest) -> tuple[Any, str]:
        async def ask(asked: ChatRequest) -> ChatResponse:
            return await context.ask(asked, self.provider)

        answerer = Answerer(ask, context.model_info(request, self.provider), self._refused_formats)
        effort = Effort(self.output.parse_retries)
        answer = await answer_json(answerer, request, schema=self.output.json_schema, effort=effort)
        return answer.value, answer.response.content

    def request(self, context: StepContext) -> ChatRequest:
        """What the model will be asked.

        Raises:
            TemplateError: the prompt or an input mentions something that nothing provides.
            StepError: the prompt came out empty, or what should be pictures is something else.
        """
        prepared = self._prepared
        if prepared is None or prepared.config is not context.config:
            prepared = self._prepared = _Prepared(self, context.config, self._syntax)
        names = context.names
        if self.inputs:
            roots = context.roots
            names = {**names, **{key: evaluate(value, roots) for key, value in self.inputs.items()}}
        prompt = self.template.render(names)
        if not prompt or prompt.isspace():
            raise StepError("the prompt came out empty", op="llm_step.render", hint="look at what its names stand for")
        system = prepared.system.render(names) if prepared.system is not None else None
        return prepared.request(prompt, system, self.examples, self._pictures(context))

    def _pictures(self, context: StepContext) -> tuple[ImagePart, ...]:
        if isinstance(self.images, tuple):
            return self.images
        found = self.images.evaluate(context.roots)
        parts = tuple(found) if isinstance(found, list | tuple) else (found,)
        strange = [type(part).__name__ for part in parts if not isinstance(part, ImagePart)]
        if strange:
            raise StepError(
                f"{self.images.text} should be pictures, and holds a value of type {strange[0]}",
                op="llm_step.images",
                hint="give ImagePart(data=..., media_type=...), or several of them in a list",
            )
        return parts

    def _turns(self, example: Example) -> tuple[Message, Message]:
        if isinstance(example, Mapping):
            given, answer = example["input"], example["output"]
        else:
            given, answer = example
        asked = self.template.render(given) if isinstance(given, Mapping) else text_of(given)
        return _message("user", asked), _message("assistant", text_of(answer))


class _Prepared:
    """What all requests of a step have in common under one configuration."""

    __slots__ = ("config", "fields", "given", "system")

    def __init__(self, step: LLMStep, config: WorkflowConfig, syntax: Syntax) -> None:
        self.config = config
        configured = {name: getattr(config, name) for name in ("model", "temperature", "max_tokens")}
        if configured["model"] is None:
            del configured["model"]
        settings = {**step.settings, **_response_format(step)}
        self.fields = dict(ChatRequest(prompt="-", **{**configured, **settings}).__dict__)
        self.given = {*settings, *(config.model_fields_set & configured.keys())}
        inherited = None if config.system_prompt is None else Template(config.system_prompt, syntax)
        self.system = step.system if step.system is not None else inherited

    def request(
        self, prompt: str, system: str | None, examples: tuple[Message, ...], images: tuple[ImagePart, ...]
    ) -> ChatRequest:
        fields = self.fields.copy()
        turns = [_message("system", system)] if system else []
        turns += examples
        turns.append(_message("user", (TextPart(text=prompt), *images) if images else prompt))
        fields["prompt"] = prompt
        fields["system_prompt"] = system
        fields["messages"] = tuple(turns)
        # What the views of the prompt alone cannot say is given as messages.
        given = {"messages"} if examples or images else {"prompt", "system_prompt"}
        return record(ChatRequest, fields, {*self.given, *given})


def _response_format(step: LLMStep) -> dict[str, Any]:
    """What the provider is told of the shape of the answer; the answer is checked all the same."""
    if step.output.expects != "json":
        return {}
    schema = step.output.json_schema
    if schema is not None and schema.get("type") == "object":
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", str(step.output_key))[:64]
        return {"response_format": ResponseFormat(type="json_schema", json_schema=schema, name=name)}
    said = step.template.text + (step.system.text if step.system is not None else "")
    if schema is None and "json" in said.lower():
        # OpenAI refuses this format where no message says the word.
        return {"response_format": ResponseFormat(type="json_object")}
    return {}


def _text_in(response: ChatResponse, request: ChatRequest) -> str:
    """The text of an answer; raises where it has none, for a blank text passes for a result everywhere further on."""
    text = response.content
    if text and not text.isspace():
        return text
    if response.finish_reason == "length":
        raise StepError(
            f"{response.model} spent its {response.usage.completion_tokens} tokens without saying anything",
            op="llm_step.answer",
            code=Code.TRUNCATED,
            hint=f"raise max_tokens (it was {request.max_tokens}); a model that thinks needs some for thinking",
        )
    tools = ", ".join(repr(call.name) for call in response.tool_calls)
    why = f"it only asked for the tools {tools}" if tools else f"finish_reason {response.finish_reason!r}"
    raise StepError(
        f"the answer of {response.model} is empty ({why})",
        op="llm_step.answer",
        code=Code.BAD_REPLY,
        hint="look at what the prompt asks for, or take another model",
    )


def _message(role: str, content: str | tuple[TextPart | ImagePart, ...]) -> Message:
    fields = {"role": role, "content": content, "tool_calls": (), "tool_call_id": None}
    return record(Message, fields, {"role", "content"})


def _as_template(name: str, prompt: str | Template, syntax: Syntax) -> Template:
    if isinstance(prompt, Template):
        return prompt
    if not str(prompt or "").strip():
        raise DefinitionError(
            f"step {name!r}: the prompt must be a non-empty text, got {prompt!r}", op="llm_step.define"
        )
    return Template(prompt, syntax)


def _as_provider(name: str, provider: str | ChatModel | None) -> str | ChatModel | None:
    if provider is None or isinstance(provider, ChatModel | str):
        return provider or None
    raise DefinitionError(
        f"step {name!r}: provider must be a registered name or a chat model, got {provider!r}",
        op="llm_step.define",
        hint="give an instance, or register the class with PluginRegistry.register_provider and give its name",
    )


def _as_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in settings.items() if value is not None and value != ()}
    try:
        request = ChatRequest(prompt="-", **given)
    except ValidationError as error:
        faults = faults_text(error, ChatRequest, given)
        hint = "a chat model goes to provider=" if isinstance(given.get("model"), ChatModel) else ""
        raise DefinitionError(f"step {name!r}: {faults}", op="llm_step.define", hint=hint) from None
    return {key: getattr(request, key) for key in given}


def _as_images(name: str, images: str | Sequence[ImagePart]) -> ReferenceText | tuple[ImagePart, ...]:
    if isinstance(images, str):
        expression = ReferenceText(images)
        if len(expression.references) == 1 and images.startswith("${") and images.endswith("}"):
            return expression
    elif isinstance(images, list | tuple) and all(isinstance(part, ImagePart) for part in images):
        return tuple(images)
    shown = repr(images) if isinstance(images, str) else f"a value of type {type(images).__name__}"
    raise DefinitionError(
        f"step {name!r}: images must be ImageParts or one reference to them, got {shown}",
        op="llm_step.define",
        hint="write images='${input.photos}' and give the ImageParts as input",
    )


def _as_output(name: str, output: str | OutputSpec | Mapping[str, Any] | None) -> OutputSpec:
    if isinstance(output, OutputSpec):
        return output
    given = {"name": output} if isinstance(output, str) else output or {}
    try:
        return OutputSpec.model_validate(given)
    except ValidationError as error:
        told = faults_text(error, OutputSpec, given)
        raise DefinitionError(f"step {name!r}: output: {told}", op="llm_step.define") from None
