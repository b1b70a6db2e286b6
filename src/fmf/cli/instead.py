"""Options that people expect of `fmf` and that are settings here: what to write in their place."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

SETTINGS: Final[Mapping[str, str]] = {
    "--provider": "inference.provider=NAME",
    "--model": "inference.PROVIDER.model=NAME",
    "--base-url": "inference.openai.base_url=URL",
    "--temperature": "inference.PROVIDER.temperature=0",
    "--max-tokens": "inference.PROVIDER.max_tokens=500",
    "--seed": "inference.PROVIDER.seed=1",
    "--system": "inference.system_prompt=TEXT",
    "--system-prompt": "inference.system_prompt=TEXT",
    "--timeout": "inference.timeout_s=60",
    "--retries": "inference.retry.max_attempts=5",
    "--cache": "inference.cache.enabled=true",
    "--log-level": "observability.log_level=DEBUG",
    "--artefacts-dir": "artefacts_dir=FOLDER",
}
"""Option to the setting that does it."""


def setting_for(option: str, args: Sequence[str]) -> str | None:
    """What to say about an unknown option that is a setting; `None` when it is none.

    Args:
        option: its name.
        args: the command line, where its value is looked for.
    """
    setting = SETTINGS.get(option)
    if setting is None:
        return None
    key, _, example = setting.partition("=")
    value = _value_of(option, args) or example
    provider = "; PROVIDER is what inference.provider says, such as openai" if "PROVIDER" in key else ""
    return f"{option} is a setting: write --set {key}={value}, or give it in fmf.yaml{provider}"


def _value_of(option: str, args: Sequence[str]) -> str:
    for arg, after in zip(args, [*args[1:], ""], strict=True):
        name, sign, value = arg.partition("=")
        if name == option:
            return shlex.quote(value if sign else after) if value or not after.startswith("-") else ""
    return ""
