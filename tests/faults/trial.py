"""Runs one fault: a model as `create_chat_model` makes it against a server that does what the fault says."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import socket
import ssl
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest import mock

from chatmodels import ChatModel, ChatModelError, ChatRequest, create_chat_model
from chatmodels.testing import allow_model_requests
from faults.acts import ANSWER, good
from faults.fault import ATTEMPTS, NEVER_LATE_S, Fault
from fmf_core.errors import FrameworkError
from peers.certificates import Certificates
from peers.raw_server import Peer, RawServer

KEY = "sk-of-the-fault-table-0123456789abcdef"
RETRY = {"max_attempts": ATTEMPTS, "first_wait_s": 0.01, "max_wait_s": 5.0}
REQUEST = ChatRequest(prompt="How are things?")


@dataclass
class Result:
    """What came of a fault."""

    text: str = ""
    """The answer, or what had been handed out before the error."""
    error: FrameworkError | None = None
    attempts: int | None = None
    """As the answer or the error tells it; a stream that goes well does not tell."""
    requests: int = 0
    """As the server counted them."""
    connections: int = 0
    took_s: float = 0.0
    well_afterwards: bool = False
    """Whether the same model's next call, to a server that has recovered, is answered."""
    left_open: int = 0
    """Connections after `cleanup`."""
    elsewhere: list[bytes] = field(default_factory=list)
    """What arrived at another server."""
    told: str = ""
    """Every text that the caller, its log included, got to see."""


class FaultyServer(RawServer):
    """Does what a fault says until it has recovered; counts what arrives."""

    def __init__(self, fault: Fault, *, tls: ssl.SSLContext | None, port: int, elsewhere: str) -> None:
        super().__init__(self._serve_faulty, tls=tls, port=port)
        self.acted = 0
        self.recovered = not fault.listens
        self._greeting = fault.greeting
        self._acts = itertools.chain(
            (fault.before,) if fault.before else (), fault.acts, itertools.repeat(fault.acts[-1])
        )
        self._elsewhere = elsewhere

    def _serve_faulty(self, peer: Peer) -> None:
        peer.elsewhere = self._elsewhere
        if self._greeting is not None and not self.recovered:
            self._greeting(peer)
        while request := peer.request():
            self.requests.append(request)
            act = good if self.recovered else next(self._acts)
            act(peer, request)
            self.acted += 1


def run(fault: Fault, asked: str, certificates: Certificates | None) -> Result:
    """What comes of `fault` when the answer is asked for `whole` or as a `stream`."""
    with ExitStack() as stack:
        stack.enter_context(allow_model_requests())
        log = stack.enter_context(_log())
        elsewhere = stack.enter_context(RawServer(b""))
        with asyncio.Runner() as runner:
            result = runner.run(_Trial(fault, asked, certificates, elsewhere.url, stack).run())
        result.elsewhere = list(elsewhere.requests)
    result.told += "\n".join(log)
    return result


class _Trial:
    def __init__(
        self, fault: Fault, asked: str, certificates: Certificates | None, elsewhere: str, stack: ExitStack
    ) -> None:
        self.fault = fault
        self.asked = asked
        self.certificates = certificates
        self.elsewhere = elsewhere
        self.stack = stack
        self.port = 0

    async def run(self) -> Result:
        """Make the call that counts, and the one after the server has recovered."""
        server = self._started()
        # The address comes from the environment, so that one that leads nowhere can be mended.
        address = self.fault.at.format(port=self.port)
        self.stack.enter_context(mock.patch.dict(os.environ, {"OPENAI_BASE_URL": address}))
        model = self._model()
        if self.fault.before is not None and server is not None:
            await self._ask(model)
            server.wait_for(lambda s: server.acted == 1)
        asked_before = len(server.requests) if server else 0
        started = time.perf_counter()
        result = await self._ask(model)
        result.took_s = time.perf_counter() - started
        if server is not None:
            result.requests, result.connections = len(server.requests) - asked_before, server.connections
        server = self._recovered(server)
        again = await self._ask(model)
        result.well_afterwards = again.error is None and again.text == ANSWER
        result.told += again.told
        await model.cleanup()
        result.left_open = await _left_open(server)
        return result

    def _started(self) -> FaultyServer | None:
        if not self.fault.listens:
            self.port = _free_port()
            return None
        return self._server(self._tls(self.fault.certificate) if self.fault.certificate else None)

    def _server(self, tls: ssl.SSLContext | None) -> FaultyServer:
        made = FaultyServer(self.fault, tls=tls, port=self.port, elsewhere=self.elsewhere)
        self.port = made.port
        return self.stack.enter_context(made)

    def _recovered(self, server: FaultyServer | None) -> FaultyServer:
        server = server or self._server(None)
        server.recovered = True
        if self.fault.at.startswith("https"):
            server.tls = self._tls("good")
        if "{port}" not in self.fault.at:
            os.environ["OPENAI_BASE_URL"] = f"{server.url}/v1"
        return server

    def _tls(self, name: str) -> ssl.SSLContext:
        assert self.certificates is not None
        return self.certificates.context(name)

    def _model(self) -> ChatModel:
        settings = dict(self.fault.settings)
        retry = {**RETRY, **settings.pop("retry", {})}
        if self.certificates is not None:
            settings["ca_bundle"] = str(self.certificates.authority)
        return create_chat_model(
            "openai", model="m", api_key=KEY, retry=retry, **{"timeout_s": NEVER_LATE_S, **settings}
        )

    async def _ask(self, model: ChatModel) -> Result:
        result = Result()
        try:
            if self.asked == "stream":
                async for chunk in model.stream_async(REQUEST):
                    result.text += chunk.text
            else:
                response = await model.complete_async(REQUEST)
                result.text, result.attempts = response.content, response.attempts
        except ChatModelError as error:
            result.error = error
            result.attempts = error.fields.get("attempts")
            shown = "".join(traceback.format_exception(error))
            result.told = f"{shown}{error!r}{json.dumps(error.fields, default=str)}\n"
        return result


@contextmanager
def _log() -> Iterator[list[str]]:
    """The lines that are logged meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.getMessage()} {record.__dict__}")  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


async def _left_open(server: RawServer) -> int:
    deadline = time.monotonic() + 5
    while server.open_connections and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    return server.open_connections


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
