"""Where the prompts of a workflow file are: in the file itself, or in prompt files beside it."""

from __future__ import annotations

from pathlib import Path

from fmf_core.nearest import known_hint
from generative_ai_workflow.definition.grammar import ResolvedPrompt
from generative_ai_workflow.exceptions import DefinitionError
from generative_ai_workflow.prompt_file import read_prompt_file

INLINE = "inline:"


class PromptFiles:
    """Finds prompts that are written out (`inline: text`) or kept in a prompt file (`path.yaml#version`).

    Args:
        folder: where relative paths begin.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.folder = Path(folder)

    def __call__(self, reference: str) -> ResolvedPrompt:
        """The prompt that `reference` names.

        Raises:
            DefinitionError: there is none; the hint lists the versions where the file exists.
        """
        text = reference.lstrip()
        if text.startswith(INLINE):
            return ResolvedPrompt(template=_trimmed(text.removeprefix(INLINE), reference))
        path, sign, version = reference.rpartition("#")
        if not sign or not path.endswith((".yaml", ".yml")):
            raise DefinitionError(
                f"{reference!r} is no prompt that can be found here",
                op="prompt.find",
                hint="write 'inline: text', or path.yaml#version; id#version needs the registry of an fmf project",
            )
        return self._from_file(path, version)

    def _from_file(self, path: str, version: str) -> ResolvedPrompt:
        file = read_prompt_file(self.folder / path)
        for item in file.versions:
            if item.version == version:
                return ResolvedPrompt(
                    template=item.template,
                    system=item.system,
                    examples=tuple((example.input, example.output) for example in item.examples),
                    metadata={"prompt_id": file.id, "prompt_version": version},
                )
        hint = known_hint(version, file.version_names())
        raise DefinitionError(f"{path} has no version {version!r}", op="prompt.find", hint=hint)


def _trimmed(text: str, reference: str) -> str:
    if not text.strip():
        raise DefinitionError(f"the prompt {reference!r} is empty", op="prompt.find")
    return text.strip()
