"""Secrets from a `.env` file and the environment, which wins."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from fmf.auth.base import SecretNotFoundError
from fmf.errors import AuthError
from fmf_core.logs import get_logger
from fmf_core.secret_shapes import secret_key

log = get_logger("fmf.auth")

VENDORS = (
    "OPENAI_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "AZURE_CLIENT_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
)
"""Variables of the environment that hold secrets."""


class EnvSecrets:
    """Secrets under the names of environment variables.

    Args:
        file: the `.env` file; it may be absent.
        environ: the environment; the process's own by default. An empty value counts as none.
    """

    def __init__(self, file: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self._file = file
        self._environ = os.environ if environ is None else environ

    def resolve(self, name: str) -> SecretStr:
        """The secret called `name`.

        Raises:
            SecretNotFoundError: neither the environment nor the file has it.
            AuthError: the file cannot be read.
        """
        value = self.setting(name)
        if value is None:
            where = f"{self._file}" if self._file.is_file() else f"{self._file} (no such file)"
            raise SecretNotFoundError(
                f"secret {name} is missing: looked in the environment and in {where}",
                op="auth.env",
                hint=f"export {name}, or give it a line in {self._file}",
                fields={"secret": name},
            )
        return SecretStr(value)

    def names(self) -> list[str]:
        """The names in the file, sorted."""
        return sorted(self._in_file)

    def held(self) -> list[str]:
        """The values in reach that are secrets by their names: those of the file, and those that vendors look for."""
        in_file = [value for name, value in self._in_file.items() if secret_key(name)]
        return [*in_file, *(value for name in VENDORS if (value := self._environ.get(name)))]

    def setting(self, name: str) -> str | None:
        """The value of `name` as plain text; None where there is none."""
        return self._environ.get(name) or self._in_file.get(name) or None

    @cached_property
    def _in_file(self) -> dict[str, str]:
        if not self._file.is_file():
            return {}
        from dotenv import dotenv_values

        # It reports what it cannot parse as plain text on stderr, line by line; here that is one event.
        complaints = _Complaints()
        logger = logging.getLogger("dotenv.main")
        logger.addFilter(complaints)
        try:
            # Without interpolation: a dollar sign in a password is a dollar sign.
            values = dotenv_values(self._file, interpolate=False, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise AuthError(
                f"{self._file} cannot be read: {type(error).__name__}",
                op="auth.env",
                hint="it must be readable UTF-8 text with a NAME=value on each line",
            ) from error
        finally:
            logger.removeFilter(complaints)
        if complaints.count:
            log.warning("env.unparsed", path=str(self._file), lines=complaints.count, wanted="NAME=value on each line")
        return {name: value for name, value in values.items() if value is not None}


class _Complaints(logging.Filter):
    """Counts log records and lets none through."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the signature is the library's
        self.count += 1
        return False
