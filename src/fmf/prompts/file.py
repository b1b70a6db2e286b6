"""Reading a prompt file for a project: what is wrong with it is an error of prompts."""

from __future__ import annotations

from pathlib import Path

from fmf.errors import ConfigError, PromptError
from fmf_core.errors import Code
from generative_ai_workflow.prompt_file import PromptFile, read_prompt_file


def load_prompt_file(path: Path, *, source: str | None = None) -> PromptFile:
    """Read one prompt file.

    Args:
        path: the file.
        source: how messages name it; default: the path.

    Raises:
        PromptError: it is missing, no YAML, or breaks the schema; every fault is named with its line and column.
    """
    try:
        return read_prompt_file(path, source=source)
    except ConfigError as error:
        missing = error.code is Code.NOT_FOUND
        raise PromptError(
            error.message,
            op="prompts.load",
            code=error.code,
            hint=error.hint or ("look at `fmf prompt ls`" if missing else ""),
            fields=error.fields,
        ) from error
