"""boto3 off the event loop: one client, a bounded number of threads, time limits, and connections that can be cut."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError
from botocore.loaders import create_loader
from botocore.tokens import FrozenAuthToken
from pydantic import SecretStr

from chatmodels.json_values import is_too_deep
from chatmodels.providers.bedrock.errors import LateError, UnusableError
from chatmodels.providers.bedrock.line import Line, make_cuttable, using
from chatmodels.transport.descriptors import PROBE_S, come_from_lack
from fmf_core.forks import in_forked_child
from fmf_core.portal import OwnThreads
from fmf_core.redact import add_secret

T = TypeVar("T")

SERVICE: Final = "bedrock-runtime"
KEY_NAME: Final = "AWS_BEARER_TOKEN_BEDROCK"
"""Where boto3 looks for a key of Bedrock, before anything else."""
IDENTITY_NAMES: Final = ("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_PROFILE", "AWS_PROFILE", "AWS_ROLE_ARN")
"""Where the environment says who asks, in the order in which boto3 looks."""
NO_ANSWER: Final = 300
"""The first status of a reply that is none."""
MOST_OF_AN_ERROR: Final = 64 * 1024
"""Bytes of the body of a refusal: more than the service needs to say why."""
EVENTS_AHEAD: Final = 64
"""Events that are read ahead of whoever consumes a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where Bedrock is, who asks, and how long that may take."""

    region: str | None
    endpoint_url: str | None
    profile: str | None
    access_key_id: SecretStr | None
    secret_access_key: SecretStr | None
    session_token: SecretStr | None
    api_key: SecretStr | None
    timeout_s: float
    connect_timeout_s: float
    max_threads: int

    @property
    def credentials_id(self) -> int | None:
        """A salted hash of what boto3 would sign with, in its order; `None` where only boto3 can tell."""
        given = self.api_key or self.access_key_id
        if given is not None:
            return hash(given.get_secret_value())
        found = os.environ.get(KEY_NAME) or self.profile
        for name in IDENTITY_NAMES:
            found = found or os.environ.get(name)
        return hash(found) if found else None


class _OneToken:
    """Gives boto3 a Bedrock API key that did not come from the environment."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def load_token(self, **_: Any) -> Any:
        return FrozenAuthToken(self._key.get_secret_value())


def session_of(access: Access) -> Any:
    """A session of boto3 with what `access` says; everything else comes from boto3's own chain."""
    below = botocore.session.Session(profile=access.profile)
    below.register_component("data_loader", _loader(below.get_config_variable("data_path")))
    if access.api_key is not None:
        below.register_component("token_provider", _OneToken(access.api_key))
    return boto3.session.Session(
        botocore_session=below,
        region_name=access.region or os.environ.get("AWS_REGION"),  # boto3 itself does not look there
        aws_access_key_id=_revealed(access.access_key_id),
        aws_secret_access_key=_revealed(access.secret_access_key),
        aws_session_token=_revealed(access.session_token),
    )


@lru_cache(maxsize=4)
def _loader(data_path: str | None) -> Any:
    # It keeps what it has read: the description of the service is large.
    return create_loader(data_path)


def client_of(session: Any, access: Access) -> Any:
    """A client that asks once, in time, and whose connections can be cut."""
    # What was given counts more than a key in the environment, which boto3 prefers to all else.
    signed = {"signature_version": "bearer"} if access.api_key else {}
    if access.access_key_id and not access.api_key:
        signed = {"signature_version": "v4"}
    config = Config(
        # A connection that does not stand yet cannot be cut: its thread is free when this time is over.
        connect_timeout=min(access.connect_timeout_s, access.timeout_s),
        read_timeout=access.timeout_s,
        # `max_attempts` would count the retries only, and its 0 is not always heeded.
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=access.max_threads,
        tcp_keepalive=True,
        **signed,
    )
    try:
        client = session.client(SERVICE, endpoint_url=access.endpoint_url, config=config)
    except BotoCoreError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        raise UnusableError(f"boto3 can make no client of its settings: {error}") from error
    make_cuttable(client)
    client.meta.events.register(f"before-parse.{SERVICE}.*", _readable)
    return client


def _readable(response_dict: dict[str, Any], **_: Any) -> None:
    """Empty the body of a refusal that boto3 would trip over, so that the refusal's status counts."""
    if response_dict["status_code"] < NO_ANSWER:
        return
    body = response_dict["body"]
    try:
        clear = len(body) <= MOST_OF_AN_ERROR and not is_too_deep(json.loads(body or b"{}"))
    except RecursionError:
        clear = False
    except ValueError:
        clear = body.isascii()  # boto3 shows a text that is no JSON
    if not clear:
        response_dict["body"] = b"{}"


class Runtime:
    """Asks Bedrock's runtime through boto3, from any event loop and without holding it up."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._threads = OwnThreads(access.max_threads, "bedrock")
        self._known: object = None
        self._endpoint: str | None = None
        self._renew()
        in_forked_child(self._renew)

    def _renew(self) -> None:
        """Begin without a client, in a forked child as well: connections are not to be shared."""
        self._lock = threading.Lock()
        self._made: tuple[Any, Any] | None = None

    @property
    def endpoint(self) -> str | None:
        """Where requests go, once that is known."""
        return self._endpoint

    async def ask(self, work: Callable[[Any], T]) -> T:
        """What `work` returns, called with the client in a thread; its time begins when a thread is free for it.

        Raises:
            LateError: the time is over; the connection has been cut.
        """
        loop = asyncio.get_running_loop()
        line = Line()
        limit = asyncio.timeout(None)

        def begin() -> None:
            if not line.is_cut:
                limit.reschedule(loop.time() + self._access.timeout_s)

        try:
            async with limit:
                return await self._threads.start(partial(self._work, line, partial(_tell, loop, begin), work))
        except TimeoutError as error:
            if limit.expired():
                raise late(self._access.timeout_s) from error
            raise
        finally:
            line.cut()

    async def events(self, work: Callable[[Any], Generator[T, None, None]]) -> AsyncGenerator[T, None]:
        """What `work` yields, called with the client in a thread; closing the generator cuts its connection.

        Raises:
            LateError: the time is over; the connection has been cut.
        """
        flow = _Flow(asyncio.get_running_loop(), self._access.timeout_s)
        reading = self._threads.start(self._pump, flow, work)
        try:
            while True:
                event, ended = await flow.take()
                if ended:
                    return
                yield event
        finally:
            flow.stop()
            reading.cancel()

    def check_region(self) -> None:
        """Raise boto3's error where it finds no region or no such profile; nothing is asked for credentials."""
        session = session_of(self._access)
        if session.region_name is None and self.endpoint is None:
            raise NoRegionError

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made[1].close()

    def _work(self, line: Line, begin: Callable[[], object], work: Callable[[Any], T]) -> T:
        begin()
        while True:
            try:
                with using(line):
                    return work(self._client())
            except Exception as error:
                if not _is_to_wait(line, error):
                    raise

    def _pump(self, flow: _Flow, work: Callable[[Any], Generator[Any, None, None]]) -> None:
        flow.begin()
        error: Exception | None = None
        while True:
            has_begun = False
            try:
                with using(flow.line), closing(work(self._client())) as events:
                    for event in events:
                        has_begun = True
                        if not flow.put(event):
                            return
            except Exception as raised:  # noqa: BLE001 - it belongs to who consumes the events
                error = raised
            if error is None or has_begun or not _is_to_wait(flow.line, error):
                break
            error = None
        flow.end(error)
        del error

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                session = session_of(self._access)
                client = client_of(session, self._access)
                self._made, self._endpoint = (session, client), client.meta.endpoint_url
            session, client = self._made
        self._keep_secrets(session)
        return client

    def _keep_secrets(self, session: Any) -> None:
        """Have the credentials blanked wherever they would show; they may change while the process runs."""
        key = _revealed(self._access.api_key) or os.environ.get(KEY_NAME)
        if key and not self._access.access_key_id:
            found: Any = (key,)
        else:
            credentials = session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            found = tuple(credentials.get_frozen_credentials())[:3]
        if found != self._known:
            for value in found:
                if value:
                    add_secret(value)
            self._known = found


def _is_to_wait(line: Line, error: Exception) -> bool:
    """Whether a call failed because too many files are open, and is still wanted; waits a little in that case."""
    if line.is_cut or not come_from_lack(error):
        return False
    time.sleep(PROBE_S)
    return not line.is_cut


class _Flow:
    """Events on their way from a thread to the loop, a few of them ahead."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self.line = Line()
        self._loop = loop
        self._timeout_s = timeout_s
        self._queue: asyncio.Queue[tuple[Any, Exception | None, bool]] = asyncio.Queue()
        self._room = threading.Semaphore(EVENTS_AHEAD)
        self._deadline: float | None = None
        self._limit: asyncio.Timeout | None = None

    def begin(self) -> None:
        """In the thread: the time of the call begins."""
        _tell(self._loop, self._begin)

    def put(self, event: Any) -> bool:
        """In the thread: hand an event on, once there is room; whether anybody wants more."""
        if not self._room.acquire(timeout=self._timeout_s) or self.line.is_cut:
            return False
        return _tell(self._loop, self._queue.put_nowait, (event, None, False))

    def end(self, error: Exception | None) -> None:
        """In the thread: there is no more."""
        _tell(self._loop, self._queue.put_nowait, (None, error, True))

    async def take(self) -> tuple[Any, bool]:
        """On the loop: the next event, or (None, True) at the end; raises what the thread raised, and `LateError`."""
        if self._deadline is not None and self._loop.time() > self._deadline:
            raise late(self._timeout_s)
        event, error, ended = await self._arrived() if self._queue.empty() else self._queue.get_nowait()
        self._room.release()
        if error is not None:
            raise error
        return event, ended

    def stop(self) -> None:
        """On the loop: nobody wants more."""
        self.line.cut()
        self._room.release()

    async def _arrived(self) -> tuple[Any, Exception | None, bool]:
        self._limit = asyncio.timeout_at(self._deadline)
        try:
            async with self._limit:
                return await self._queue.get()
        except TimeoutError as error:
            raise late(self._timeout_s) from error
        finally:
            self._limit = None

    def _begin(self) -> None:
        self._deadline = self._loop.time() + self._timeout_s
        if self._limit is not None:
            self._limit.reschedule(self._deadline)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *args: Any) -> bool:
    """Have the loop call `function`; whether there is still such a loop."""
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        return False
    return True


def late(timeout_s: float) -> LateError:
    """The error for a call whose time is over."""
    return LateError(f"no complete answer within {timeout_s:g} s")


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
