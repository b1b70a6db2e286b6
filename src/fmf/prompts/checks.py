"""The declared tests of a prompt version: pure looks at the rendered text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fmf.errors import PromptError
from fmf.prompts.prompt import Prompt
from fmf_core.errors import Code
from generative_ai_workflow.prompt_file import PromptTest, PromptVersion

TokenCounter = Callable[[str], int]
"""How many tokens a text has."""


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How one declared test went."""

    __test__ = False

    name: str
    failures: tuple[str, ...] = ()
    """One sentence for each thing that did not hold; empty when the test passed."""

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.failures


def check_names(prompt: Prompt) -> None:
    """Refuse a prompt that uses a name which nobody is told to give.

    Raises:
        PromptError: the template or the system text uses a name that `inputs.required` does not list.
    """
    unlisted = sorted(prompt.names - set(prompt.required))
    if unlisted:
        listed = ", ".join(prompt.required) or "nothing"
        raise PromptError(
            f"prompt {prompt.ref!r} uses {', '.join(map(repr, unlisted))}, which inputs.required does not list",
            op="prompts.check",
            hint=f"add it to inputs.required, which lists {listed}, or correct the prompt",
        )


def run_tests(prompt: Prompt, version: PromptVersion, count_tokens: TokenCounter | None) -> tuple[TestOutcome, ...]:
    """Run every declared test of a version, in order.

    Raises:
        PromptError: a test asks for `max_tokens` and there is no way to count.
    """
    return tuple(TestOutcome(test.name, tuple(_failures(prompt, test, count_tokens))) for test in version.tests)


def _failures(prompt: Prompt, test: PromptTest, count_tokens: TokenCounter | None) -> list[str]:
    known = {*prompt.required, *prompt.names}
    strangers = sorted(set(test.inputs) - known)
    if strangers:
        takes = ", ".join(sorted(known)) or "nothing"
        return [f"gives {', '.join(map(repr, strangers))}, but the prompt takes {takes}"]
    try:
        text = prompt.render(test.inputs)
    except PromptError as error:
        return [error.message]
    asked = test.assertions
    failures = [f"does not contain {part!r}" for part in asked.contains if part not in text]
    failures += [f"contains {part!r}" for part in asked.not_contains if part in text]
    if asked.max_tokens is not None:
        tokens = _count(prompt, text, count_tokens)
        if tokens > asked.max_tokens:
            failures.append(f"has {tokens} tokens, more than max_tokens {asked.max_tokens}")
    return failures


def _count(prompt: Prompt, text: str, count_tokens: TokenCounter | None) -> int:
    if count_tokens is None:
        raise PromptError(
            f"the tests of {prompt.ref!r} limit tokens, and this registry was built without a token counter",
            op="prompts.test",
            code=Code.UNSUPPORTED,
            hint="give count_tokens to PromptRegistry.from_config",
        )
    return count_tokens(text)
