"""One version of a prompt, ready to be used by a step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmf.errors import PromptError
from fmf_core.errors import FrameworkError
from generative_ai_workflow.prompt_file import PromptExample, PromptVersion

INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a run uses it and as `run.yaml` names it."""

    id: str
    version: str
    """Empty for a prompt that stands in the chain or on the command line itself."""
    template: str
    """Text with `{{ name }}` places."""
    content_hash: str
    """`sha256:` and the hash of everything that the model sees; see `content_hash`."""
    system: str | None = None
    required: tuple[str, ...] = ()
    """The names that must be given."""
    examples: tuple[tuple[str, str], ...] = ()
    """Few-shot turns as they are sent: what the user asks, what the assistant answers."""
    path: Path | None = None
    """The file that it was read from."""

    @property
    def ref(self) -> str:
        """`id#version`; for an inline prompt `inline`."""
        return f"{self.id}#{self.version}" if self.version else self.id

    @property
    def names(self) -> frozenset[str]:
        """Every name that the template or the system text uses."""
        return template_names(self.template) | template_names(self.system or "")

    def render(self, values: Mapping[str, Any]) -> str:
        """The user's turn for `values`.

        Raises:
            PromptError: a required name, or one that the template or the system text uses, is missing.
        """
        missing = sorted(name for name in {*self.required, *self.names} if name not in values)
        if missing:
            given = ", ".join(sorted(values)) or "nothing"
            raise PromptError(
                f"prompt {self.ref!r} needs {', '.join(map(repr, missing))}",
                op="prompts.render",
                hint=f"give a value for each; given: {given}",
            )
        return _fill(self.template, values)


def build_prompt(prompt_id: str, version: PromptVersion, path: Path | None = None) -> Prompt:
    """The usable form of one declared version.

    Raises:
        PromptError: an example gives values for the template and leaves one out.
    """
    return Prompt(
        id=prompt_id,
        version=version.version,
        template=version.template,
        content_hash=content_hash(version),
        system=version.system,
        required=version.inputs.required,
        examples=tuple(
            _turn(f"{prompt_id}#{version.version}", number, version.template, example)
            for number, example in enumerate(version.examples)
        ),
        path=path,
    )


def inline_prompt(text: str) -> Prompt:
    """The prompt for a text that stands where a reference could stand.

    Raises:
        PromptError: the text is empty.
    """
    template = text.strip()
    if not template:
        raise PromptError("the inline prompt is empty", op="prompts.resolve", hint="write inline: and then the text")
    return Prompt(id=INLINE, version="", template=template, content_hash=_hash({"template": template}))


def content_hash(version: PromptVersion) -> str:
    """`sha256:` and the hash of what the model sees of this version.

    That is the template, the system text, the examples and the required names, as canonical JSON (sorted keys, no
    spaces, UTF-8, absent parts left out). Comments, order of keys, description, author, changes and tests do not count.
    """
    seen = {
        "template": version.template,
        "system": version.system,
        "examples": [{"input": item.input, "output": item.output} for item in version.examples],
        "required": sorted(set(version.inputs.required)),
    }
    return _hash({name: value for name, value in seen.items() if value})


def template_names(text: str) -> frozenset[str]:
    """The names in `{{ }}` of a prompt template."""
    from generative_ai_workflow.template import Template

    return frozenset(Template(text, syntax="double").names)


def compact_json(value: Any) -> str:
    """A value as the model is shown it: JSON on one line, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _turn(ref: str, number: int, template: str, example: PromptExample) -> tuple[str, str]:
    answer = example.output if isinstance(example.output, str) else compact_json(example.output)
    if isinstance(example.input, str):
        return example.input, answer
    try:
        return _fill(template, example.input), answer
    except FrameworkError as error:
        raise PromptError(
            f"prompt {ref!r}: examples[{number}].input cannot fill the template: {error.message}",
            op="prompts.load",
            hint="an input that is a mapping gives a value for every name of the template; a text is sent as it is",
        ) from error


def _fill(template: str, values: Mapping[str, Any]) -> str:
    from generative_ai_workflow.template import Template

    return Template(template, syntax="double").render(values)


def _hash(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
