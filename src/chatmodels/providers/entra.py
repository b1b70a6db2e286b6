"""Entra ID tokens: fetched off the event loop, once for all who wait, and kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from time import time
from typing import Any, Final, Protocol

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call
from fmf_core.errors import Code, ConfigurationError, PluginError
from fmf_core.forks import in_forked_child
from fmf_core.portal import run_sync
from fmf_core.redact import add_secret
from fmf_core.registry import install_hint
from fmf_core.threads import ThreadPool

SCOPE: Final = "https://cognitiveservices.azure.com/.default"
"""What tokens for Azure OpenAI are asked for."""
RENEW_BEFORE_S: Final = 300.0
"""How long before its end a token is renewed, beside the requests that still use it."""
LAST_USE_BEFORE_S: Final = 30.0
"""How long before its end a token is sent for the last time: clocks differ, and requests take their time."""
UNDATED_FOR_S: Final = 60.0
"""How long a token is used whose end nobody tells."""
PAUSE_S: Final = 30.0
"""How long renewing rests after it failed while the old token still holds."""
PASSING: Final = frozenset(
    ("ServiceRequestError", "ServiceResponseError", "ServiceRequestTimeoutError", "ServiceResponseTimeoutError")
)
"""Failures of the way to the sign-in, by class name, which may be over soon; and so may those of the system."""
HINT: Final = (
    "check the credential (for 'default': az login, a managed identity, or AZURE_TENANT_ID, AZURE_CLIENT_ID and "
    "AZURE_CLIENT_SECRET), and that its identity has the role 'Cognitive Services OpenAI User' on the resource"
)


class TokenCredential(Protocol):
    """A credential of `azure.identity`, or anything like one; `get_token` may be async."""

    def get_token(self, *scopes: str) -> Any:
        """A token with `token` and `expires_on` (seconds since 1970), or what awaits to one."""
        ...


Credential = TokenCredential | Callable[[], Any] | str
"""Who signs in: a credential, a function that returns a token (or awaits to one), or the word `"default"`."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and how long it holds."""

    text: str
    renew_at: float
    """In seconds since 1970, as its end."""
    ends_at: float


class EntraSignIn:
    """Keeps one token for all requests of a model, whichever thread or event loop makes them.

    Blocking credentials are asked in a thread; async ones always on the same event loop, that of the house, so that a
    session which they keep stays usable.

    Args:
        credential: who signs in.
        scope: what the token is for.
        clock: tells the time, in seconds since 1970.

    Raises:
        ConfigurationError: `credential` is none.
        PluginError: it is `"default"`, and the extra `azure` is not installed.
    """

    def __init__(self, credential: Credential, scope: str = SCOPE, *, clock: Callable[[], float] = time) -> None:
        self._ask = _asking(credential, scope)
        self._clock = clock
        self._token: Token | None = None
        self._rest_until = 0.0
        self._renew()
        in_forked_child(self._renew)

    @property
    def token(self) -> str:
        """The newest token; empty before the first was fetched."""
        return self._token.text if self._token is not None else ""

    async def ready(self, call: Call, timeout_s: float | None) -> None:
        """See to it that `token` holds: fetch it, wait for who fetches it, or renew it in the background.

        Raises:
            ProviderAuthError: the sign-in failed.
            ChatModelError: `Code.UNAVAILABLE` where it could not be reached, `Code.TIMEOUT` where there was no token
                within `timeout_s` seconds.
        """
        token, now = self._token, self._clock()
        if token is not None and now < token.renew_at:
            return
        if token is not None and now < token.ends_at:
            if now >= self._rest_until:
                self._join()
            return
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(asyncio.wrap_future(self._join()))
        except TimeoutError as error:
            message = f"no token of Entra ID within {timeout_s:g} s"
            raise call.error(message, Code.TIMEOUT, hint="is the sign-in reachable? raise timeout_s") from error
        except ChatModelError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(error, call) from error

    def close(self) -> None:
        """Close the credential that was made here; blocking. It may be used again afterwards."""
        if isinstance(self._ask, _Default):
            self._ask.close()

    def rejected(self, error: ChatModelError) -> ChatModelError:
        """Forget the token that the server did not take, so that the next request signs in anew; `error`, marked so.

        The request itself is not repeated: retries have one owner, and a new token rarely helps where the last one,
        which had not expired, did not.
        """
        with self._here.lock:
            # It stays to be seen by requests that are about to leave; the next one waits for a new token.
            self._token = replace(self._token, renew_at=0.0, ends_at=0.0) if self._token is not None else None
        error.fields["token"] = "dropped"  # noqa: S105 - a mark for whoever reads the error
        error.hint = f"the next request signs in anew; {HINT}"
        return error

    def _renew(self) -> None:
        """Begin anew in a forked child: no thread of the parent's fetches or unlocks anything there."""
        self._here = _Process()

    def _join(self) -> Future[Token]:
        """The fetching that is under way; begun here when there is none."""
        here = self._here
        with here.lock:
            if here.flight is not None:
                return here.flight
            flight = here.flight = Future()
        # In a thread of its own and not as a task: a caller that gives up, or whose event loop ends, ends nothing.
        try:
            here.thread.submit(partial(self._fly, here, flight))
        except RuntimeError:  # no thread can be started
            here.flight = None
            raise
        return flight

    def _fly(self, here: _Process, flight: Future[Token]) -> None:
        token, problem = None, None
        try:
            token = self._fetch()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the token is waited for
            problem = error
        with here.lock:
            here.flight = None
            if token is not None:
                self._token = token
            else:
                self._rest_until = self._clock() + PAUSE_S
        if token is not None:
            flight.set_result(token)
        else:
            flight.set_exception(problem)

    def _fetch(self) -> Token:
        found = self._ask()
        if inspect.isawaitable(found):
            found = run_sync(_awaited(found))
        text = found if isinstance(found, str) else getattr(found, "token", None)
        if not isinstance(text, str) or not text:
            raise TypeError(f"the credential gave {type(found).__name__} instead of a token")
        add_secret(text)
        now = self._clock()
        ends_at = getattr(found, "expires_on", None)
        if isinstance(ends_at, int | float):
            return Token(text, max(ends_at - RENEW_BEFORE_S, now), ends_at - LAST_USE_BEFORE_S)
        return Token(text, now + UNDATED_FOR_S, now + 2 * UNDATED_FOR_S)


class _Process:
    """What fetches the token in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.flight: Future[Token] | None = None
        self.thread = ThreadPool(1, "entra-sign-in")


def _asking(credential: Credential, scope: str) -> Callable[[], Any]:
    """What fetches a token, blocking or not."""
    if credential == "default":
        return _Default(scope)
    get_token = getattr(credential, "get_token", None)
    if callable(get_token):
        return lambda: get_token(scope)
    if callable(credential):
        return credential
    shown = repr(credential) if isinstance(credential, str) and len(credential) < 20 else type(credential).__name__
    raise ConfigurationError(
        f"credential {shown} cannot sign in to Entra ID",
        op="azure_openai.create",
        hint="give 'default', a credential of azure.identity, or a function that returns a token; a token itself is "
        "given as token",
    )


class _Default:
    """The credential that finds out by itself; made when it is first asked, because its import takes its time."""

    def __init__(self, scope: str) -> None:
        from importlib.util import find_spec

        try:
            found = find_spec("azure.identity")
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise PluginError(
                "credential 'default' needs 'azure.identity', which cannot be imported",
                op="azure_openai.create",
                code=Code.UNSUPPORTED,
                hint=install_hint("azure"),
                fields={"extra": "azure"},
            )
        self._scope = scope
        self._forget()
        in_forked_child(self._forget)

    def _forget(self) -> None:
        self._credential: Any = None

    def __call__(self) -> Any:
        # Only one thread of a process is here.
        if self._credential is None:
            from azure.identity import DefaultAzureCredential

            self._credential = DefaultAzureCredential()
        return self._credential.get_token(self._scope)

    def close(self) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            credential.close()


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


def _failed(error: BaseException, call: Call) -> ChatModelError:
    names = {kind.__name__ for kind in type(error).__mro__}
    passing = bool(names & PASSING) or isinstance(error, OSError)
    said = str(error).strip().partition("\n")[0] or "no reason given"
    message = f"the sign-in to Entra ID failed: {type(error).__name__}: {said}"
    if passing:
        return call.error(message, Code.UNAVAILABLE, hint="is the sign-in reachable?")
    return call.error(message, Code.AUTH, hint=HINT)
