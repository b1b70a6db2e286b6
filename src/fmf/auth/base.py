"""What a secret provider is, the table of them, and the secrets of one run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from fmf.config.kinds import announce
from fmf.errors import AuthError
from fmf_core.errors import Code, PluginRegistrationError
from fmf_core.forks import Lock
from fmf_core.redact import add_secret
from fmf_core.registry import Entry, Registry

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fmf.config.models import AuthConfig

PLANNED: Final = frozenset({"azure_key_vault", "aws_secrets"})
"""Providers that the configuration knows and this version does not have yet."""


class SecretNotFoundError(AuthError):
    """No place that was looked in knows the secret."""


@runtime_checkable
class SecretProvider(Protocol):
    """Resolves logical names to secrets; blocking.

    A class of a plugin is called with the keys of `auth.options` as keyword arguments.
    """

    def resolve(self, name: str) -> SecretStr:
        """The secret called `name`.

        Raises:
            SecretNotFoundError: there is none; the message says where it was looked for.
            AuthError: the place could not be asked.
        """
        ...

    def names(self) -> list[str]:
        """The logical names that the configuration maps or the place lists, sorted."""
        ...


def _check(name: str, item: Any) -> None:
    if not callable(item) and not isinstance(item, SecretProvider):
        raise PluginRegistrationError(
            f"secret provider {name!r} is {item!r}, which is neither a class nor has resolve and names",
            op="auth.add",
            hint="register a class with the methods resolve(name) and names()",
        )


secret_providers: Registry[Callable[..., SecretProvider]] = Registry(
    "secret provider",
    {"env": Entry("fmf.auth.env:EnvSecrets", metadata={"description": "a .env file and the environment"})},
    group="fmf.secrets",
    check=_check,
)
"""The providers that `auth.provider` may name."""

announce("secret provider", secret_providers.names)


class Secrets:
    """The secrets of one run: each is resolved once, when it is first asked for; safe for many threads.

    Args:
        make: builds the provider; called when the first secret is asked for.
    """

    def __init__(self, make: Callable[[], SecretProvider]) -> None:
        self._make = make
        self._provider: SecretProvider | None = None
        self._found: dict[str, SecretStr] = {}
        self._lock = Lock(reentrant=True)

    def resolve(self, name: str) -> SecretStr:
        """The secret called `name`; from now on its value is blanked wherever it would show.

        Raises:
            SecretNotFoundError: there is none; the message says where it was looked for.
            AuthError: the provider could not be asked.
        """
        with self._lock():
            if name not in self._found:
                secret = self._asked().resolve(name)
                add_secret(secret.get_secret_value())
                self._found[name] = secret
            return self._found[name]

    def find(self, name: str) -> SecretStr | None:
        """The secret called `name`, or None where there is none."""
        try:
            return self.resolve(name)
        except SecretNotFoundError:
            return None

    def names(self) -> list[str]:
        """The logical names that are mapped or listed, sorted."""
        with self._lock():
            return self._asked().names()

    def setting(self, name: str) -> str | None:
        """A value that is no secret, such as OPENAI_BASE_URL: of the environment, else beside the secrets; or None."""
        if given := os.environ.get(name):
            return given
        with self._lock():
            read = getattr(self._asked(), "setting", None)
        return cast("str | None", read(name)) if callable(read) else None

    def guard(self) -> None:
        """Have every secret that lies in reach blanked from now on, also those that nobody will ask for.

        Raises:
            AuthError: the place of the secrets cannot be read.
        """
        with self._lock():
            held = getattr(self._asked(), "held", None)
        for value in held() if callable(held) else ():
            add_secret(value)

    def _asked(self) -> SecretProvider:
        if self._provider is None:
            self._provider = self._make()
        return self._provider


def build_secrets(config: AuthConfig, root: Path) -> Secrets:
    """The secrets that the section `auth` describes; nothing is read or asked before the first one is needed.

    Args:
        config: the section.
        root: the folder that relative paths in it start from.
    """
    return Secrets(lambda: _provider(config, root))


def check_auth(config: AuthConfig) -> None:
    """Check that the secret provider takes the settings that it is given; nothing is read or asked.

    Raises:
        AuthError: it does not, or there is no such provider in this version.
    """
    _maker(config)


def _provider(config: AuthConfig, root: Path) -> SecretProvider:
    made = _maker(config)
    if config.provider == "env":
        return cast("SecretProvider", made(root / config.env.file))
    if isinstance(made, SecretProvider) and not isinstance(made, type):
        return made
    return cast("SecretProvider", made(**config.options))


def _maker(config: AuthConfig) -> Any:
    """The secret provider that `auth.provider` names, or what makes it of `auth.options`."""
    if config.provider in PLANNED and config.provider not in secret_providers:
        raise AuthError(
            f"auth.provider is {config.provider}, which this version does not have yet",
            op="auth.build",
            code=Code.UNSUPPORTED,
            hint=f"known: {', '.join(secret_providers.names())}",
        )
    made: Any = secret_providers.get(config.provider)
    if config.provider == "env" or (isinstance(made, SecretProvider) and not isinstance(made, type)):
        return made
    try:
        inspect.signature(made).bind(**config.options)
    except TypeError as error:
        raise AuthError(
            f"secret provider {config.provider!r} cannot be made from auth.options: {error}",
            op="auth.build",
            code=Code.INVALID,
            hint=f"it takes {inspect.signature(made)}",
        ) from error
    return made
