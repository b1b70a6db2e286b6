"""The embedded engine: loads weights once per process, runs one generation at a time and stops it when asked."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import secrets
import signal
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

# Threads of the engine that wait must sleep: spinning they would slow down everything else on a small machine. The
# variable is read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp

from chatmodels.providers.special_tokens import SpecialTokens
from fmf_core.forks import in_forked_child
from fmf_core.portal import at_exit, in_thread

PROMPT_STEP_TOKENS = 64
"""Prompt tokens worked through between two looks at whether to stop; smaller is not slower, larger reacts later."""
KEPT_PROMPTS = 3
"""Prompts that the engine remembers: one that begins like them skips the work for that beginning. Each costs the memory
of a whole context (94 MB for 4096 tokens of a 135M model)."""
MOST_ASKED = 10_000
"""Prompts that are recognised when they come again."""
MOST_WAITING = 1000
"""Calls that may wait for the engine; more are refused."""
EXIT_WAIT_S = 10.0
"""How long the end of the process waits for engines that were told to stop, in seconds. They look up after every token
and every `PROMPT_STEP_TOKENS` of a prompt, but not while a text is cut into tokens."""


class EngineBusyError(Exception):
    """Too many calls wait for the engine."""


class EngineLoadError(Exception):
    """The engine cannot load the weight file."""


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What makes two models share one engine."""

    path: Path
    context: int
    threads: int


class Engine:
    """One model; calls take turns in the order in which they came. It must be loaded before it is asked."""

    def __init__(self, key: EngineKey) -> None:
        self.key = key
        self.users: WeakSet[object] = WeakSet()
        self._turns = Turns()
        self._running: set[threading.Event] = set()
        self._ended = False
        self._asked: OrderedDict[bytes, None] = OrderedDict()
        self._server: Any = None
        self.special = SpecialTokens(frozenset())
        """What must not stand in the text of a message, see `SpecialTokens.broken_up`; known once it is loaded."""

    def load(self) -> None:
        """Load the weights; blocks.

        Raises:
            EngineLoadError: the file is no model that the engine can load.
            RuntimeError: the process is ending.
        """
        with self._at_work(threading.Event()) as may_begin:
            if not may_begin:
                raise RuntimeError("the process is ending: no engine can be loaded any more")
            self._server = _load(self.key)
            self.special = SpecialTokens.of_file(self.key.path)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is the caller's turn, without holding up any loop or thread.

        Raises:
            EngineBusyError: `MOST_WAITING` calls wait already.
        """
        await self._turns.take()
        try:
            yield
        finally:
            self._turns.pass_on()

    def asked_before(self, prompt: bytes) -> bool:
        """Whether the engine may remember the whole of `prompt`; then it must read it anew to answer it alike.

        Of a remembered prompt it would read the last token alone, in another way than together with others.
        """
        digest = hashlib.blake2b(prompt, digest_size=16).digest()
        known = digest in self._asked
        self._asked[digest] = None
        if len(self._asked) > MOST_ASKED:
            self._asked.popitem(last=False)
        return known

    async def payloads(self, body: str) -> AsyncGenerator[str, None]:
        """The pieces of the answer to `body`, as JSON texts; closing the iterator stops the generation."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        stop = threading.Event()

        def hand_over(piece: str | None) -> None:
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except RuntimeError:  # the loop has ended, and with it the interest in the answer
                stop.set()

        generation = asyncio.ensure_future(in_thread(self._generate, body, hand_over, stop))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await generation
        finally:
            stop.set()
            generation.cancel()

    @property
    def busy(self) -> bool:
        """Whether some thread is inside the engine, to load it or to generate something."""
        return bool(self._running)

    def end(self) -> None:
        """Stop whatever is being generated, and begin nothing any more; who waits for it learns nothing of it."""
        self._ended = True
        for stop in tuple(self._running):
            stop.set()

    def _generate(self, body: str, hand_over: Callable[[str | None], None], stop: threading.Event) -> None:
        def on_piece(piece: str) -> bool:
            # True ends the generation. It is asked after every token, and every few tokens while a prompt is read.
            if not stop.is_set():
                hand_over(piece)
            return stop.is_set()

        try:
            with self._at_work(stop) as may_begin:
                if may_begin:
                    self._server.handle_chat_completions(body, on_piece)
        finally:
            if not stop.is_set():
                hand_over(None)

    @contextmanager
    def _at_work(self, stop: threading.Event) -> Iterator[bool]:
        """Be `busy`, and know whether to begin at all: either `end` sees the work, or the work sees the end."""
        self._running.add(stop)
        try:
            if self._ended:
                stop.set()
            yield not stop.is_set()
        finally:
            self._running.discard(stop)


class Turns:
    """First come, first served, across event loops and threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[tuple[Future[None], asyncio.AbstractEventLoop]] = deque()

    async def take(self) -> None:
        """Wait for the turn; whoever takes it must pass it on.

        Raises:
            EngineBusyError: `MOST_WAITING` wait already.
        """
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            if len(self._waiting) >= MOST_WAITING:
                raise EngineBusyError(f"{MOST_WAITING} calls wait for the engine already")
            mine: Future[None] = Future()
            self._waiting.append((mine, asyncio.get_running_loop()))
        try:
            await asyncio.wrap_future(mine)
        except asyncio.CancelledError:
            if not mine.cancel() and not mine.cancelled():
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Give the turn to whoever waits longest."""
        with self._lock:
            following = self._next()
            self._taken = following is not None
        if following is not None:
            following.set_result(None)

    def _next(self) -> Future[None] | None:
        while self._waiting:
            waiting, loop = self._waiting.popleft()
            if not loop.is_closed() and waiting.set_running_or_notify_cancel():
                return waiting
        return None


class _Engines:
    """The engines of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.loaded: dict[EngineKey, Engine] = {}
        """Those that somebody holds, by what they were loaded from."""
        self.alive: WeakSet[Engine] = WeakSet()
        """All: also those that are being loaded, and those that were released and are still busy."""
        self.ended = False
        self.exit_prepared = False
        self.loading: dict[EngineKey, threading.Lock] = {}

    def new(self, key: EngineKey) -> Engine:
        """An engine that still has to be loaded; it is stopped and waited for when the process ends."""
        with self.lock:
            engine = Engine(key)
            self.alive.add(engine)
            if self.ended:
                engine.end()
            if not self.exit_prepared:
                self.exit_prepared = True
                at_exit(_stop_all, limit_s=EXIT_WAIT_S + 2)
            return engine


_engines = _Engines()


def engine_for(key: EngineKey, user: object) -> Engine:
    """The engine of `key`, loaded when there is none yet; `user` holds it until `release`. Blocks while loading.

    Raises:
        EngineLoadError: the file is no model that the engine can load.
        RuntimeError: the process is ending.
    """
    engines = _engines
    with engines.lock:
        gate = engines.loading.setdefault(key, threading.Lock())
    # One gate per engine: loading takes a while, and who wants another engine need not wait for it.
    with gate:
        engine = engines.loaded.get(key)
        if engine is None:
            engine = engines.new(key)
            engine.load()
        with engines.lock:
            engines.loaded[key] = engine
            engine.users.add(user)
        return engine


def release(user: object) -> None:
    """Let go of every engine that `user` holds; an engine that nobody holds is freed as soon as it is not busy."""
    engines = _engines
    with engines.lock:
        for key, engine in list(engines.loaded.items()):
            engine.users.discard(user)
            if not engine.users:
                del engines.loaded[key]


def _load(key: EngineKey) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(key.path)
    params.n_parallel = KEPT_PROMPTS
    params.n_ctx = key.context * KEPT_PROMPTS
    params.n_batch = params.n_ubatch = PROMPT_STEP_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = key.threads
    # Same prompt, same answer, whatever was asked before: measured bit by bit, that holds without flash attention, with
    # memory of its own for each kept prompt, and unless only its last token is left to read (see `asked_before`).
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.kv_unified = False
    params.cache_ram_mib = 0
    params.warmup = False
    params.ui = False
    params.verbosity = 0
    # The engine always opens a port on loopback. Nobody is meant to use it: a key that nobody knows closes it.
    params.api_keys = [secrets.token_urlsafe(32)]
    try:
        server = xllamacpp.Server(params)
        # An engine that is freed before its loop has begun to turn never comes to an end: one answered token proves
        # that it turns.
        server.handle_completions({"prompt": "a", "max_tokens": 1})
    except (RuntimeError, ValueError) as error:
        raise EngineLoadError(str(error)) from error
    return server


def _stop_all() -> None:
    """Stop all work, so that no thread is inside an engine when the interpreter goes.

    A thread that comes out of an engine later ends the process with SIGABRT: the interpreter lets no thread go on, and
    the engine's frames do not let themselves be unwound.
    """
    engines = _engines
    with engines.lock:
        engines.ended = True
        alive = list(engines.alive)
        engines.loaded.clear()
    # Taking an engine apart while the process ends has crashed it now and then; the system takes the memory back.
    for engine in alive:
        _keep(engine)
    for engine in alive:
        engine.end()
    _leave_without_waiting()
    if any(engine.busy for engine in alive):
        # Before the wait, which another Ctrl-C cuts short.
        take_back = _outlive_aborts()
        give_up = time.monotonic() + EXIT_WAIT_S
        while any(engine.busy for engine in alive):
            if time.monotonic() > give_up:
                return
            time.sleep(0.01)
        take_back()


def _keep(engine: Engine) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))


def _forget_inherited() -> None:
    """Give a forked child engines of its own: the threads that serve and free the parent's are not there."""
    global _engines
    inherited, _engines = _engines, _Engines()
    for engine in inherited.alive:
        _keep(engine)
    if inherited.exit_prepared:
        _leave_without_waiting()


def _leave_without_waiting() -> None:
    """Have this process end without the library's last words: in a forked child they wait for the parent's thread."""
    library = _c_library()
    if hasattr(library, "on_exit"):
        library.on_exit(ctypes.cast(library["_exit"], ctypes.c_void_p), None)


def _outlive_aborts() -> Callable[[], None]:
    """Have a thread that aborts sleep first, for as many seconds as SIGABRT has for a number: six.

    The main thread ends the process meanwhile, with the exit status that only it knows. Nothing more is heard on
    stderr, where such a thread would have its last words. Returns what takes it all back.
    """
    library = _c_library()
    if not hasattr(library, "gnu_get_libc_version"):  # with other libraries such a thread ends without a word
        return lambda: None
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    undo = ExitStack()
    before = library.signal(signal.SIGABRT, ctypes.cast(library["sleep"], ctypes.c_void_p))
    undo.callback(library.signal, signal.SIGABRT, before)
    with suppress(OSError, ValueError, AttributeError):  # it is closed, or there was none
        sys.stderr.flush()
    with suppress(OSError):
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        undo.callback(os.close, kept)
        undo.callback(os.dup2, kept, 2)
    return undo.close


def _c_library() -> Any:
    """What this process is linked with; None on Windows, where there is no such thing."""
    return None if os.name == "nt" else ctypes.CDLL(None)


in_forked_child(_forget_inherited)
