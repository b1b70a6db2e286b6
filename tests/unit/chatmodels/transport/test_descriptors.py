from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from chatmodels.transport import descriptors as module
from chatmodels.transport.address import Origin
from chatmodels.transport.descriptors import (
    FAIR_S,
    KEPT,
    Descriptors,
    QueuedCall,
    come_from_lack,
    lacks_descriptors,
)
from peers.raw_server import Peer, RawServer, ok

HERE = Origin("127.0.0.1", 80, False, None)
THERE = Origin("127.0.0.2", 80, False, None)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


class Some:
    """Connections as far as the queue sees them."""

    def __init__(self, *, holds: bool = False) -> None:
        self.holds = holds
        self.asked = 0

    def make_room(self) -> bool:
        self.asked += 1
        return self.holds


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The soft limit, which a test may change at any time."""
    now = [1024]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (now[0], 1 << 20))
    return now


def opened() -> int:
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number


def test_there_is_room_up_to_the_limit_less_what_others_need(limit: list[int]) -> None:
    descriptors, some = Descriptors(), Some(holds=True)
    descriptors.add(some)
    limit[0] = max(opened() + KEPT + 3, 4 * KEPT)
    room = limit[0] - KEPT - opened()
    assert [descriptors.enter() for _ in range(room + 2)] == [True] * room + [False] * 2
    descriptors.leave()
    assert [descriptors.enter(), descriptors.enter()] == [True, False]


def test_a_limit_that_changes_counts_at_once_and_none_is_none(limit: list[int]) -> None:
    descriptors, some = Descriptors(), Some(holds=True)
    descriptors.add(some)
    limit[0] = opened()
    assert not descriptors.enter()
    limit[0] = 4096
    assert descriptors.enter()
    limit[0] = resource.RLIM_INFINITY
    assert all(descriptors.enter() for _ in range(5000))


def test_one_connection_is_always_tried(limit: list[int]) -> None:
    descriptors = Descriptors()
    limit[0] = 3
    assert [descriptors.enter(), descriptors.enter()] == [True, False]


def test_who_came_first_goes_first_and_who_gave_up_is_passed_over() -> None:
    async def go() -> None:
        descriptors, some = Descriptors(), Some(holds=True)
        descriptors.add(some)
        loop = asyncio.get_running_loop()
        calls = [QueuedCall(loop, some, HERE, 0.0) for _ in range(4)]
        for waiting in calls:
            descriptors.wait(waiting, again=False)
        assert some.asked == 4
        calls[0].future.cancel()
        descriptors.forget(calls[1])
        descriptors.call_next(freed=True)
        assert await asyncio.wait_for(calls[2].future, 5) is None
        calls[1].since = -1.0
        descriptors.wait(calls[1], again=True)
        descriptors.call_next()
        await asyncio.wait_for(calls[1].future, 5)
        assert list(descriptors.waiting) == [calls[3]]

    run(go())


def test_a_call_whose_loop_was_closed_keeps_nobody_waiting() -> None:
    async def make(some: Some) -> QueuedCall:
        return QueuedCall(asyncio.get_running_loop(), some, HERE, 0.0)

    async def go(gone: QueuedCall, some: Some) -> None:
        descriptors = Descriptors()
        mine = await make(some)
        descriptors.wait(gone, again=False)
        descriptors.wait(mine, again=False)
        descriptors.call_next()
        await asyncio.wait_for(mine.future, 5)
        descriptors.wait(gone, again=False)
        assert not descriptors.call_one_of(some)

    some = Some()
    run(go(run(make(some)), some))


def test_a_connection_goes_to_who_can_use_it_unless_others_have_waited_long() -> None:
    async def go() -> None:
        import time

        descriptors, some = Descriptors(), Some()
        loop, now = asyncio.get_running_loop(), time.monotonic()
        first = QueuedCall(loop, Some(), THERE, now)
        second, third = QueuedCall(loop, some, HERE, now), QueuedCall(loop, some, HERE, now)
        for waiting in (first, second, third):
            descriptors.wait(waiting, again=False)
        assert descriptors.heir(some, HERE) is second
        first.since = now - FAIR_S - 1
        assert descriptors.heir(some, HERE) is None
        descriptors.forget(first)
        assert descriptors.heir(some, HERE) is third
        assert descriptors.heir(some, HERE) is None

    run(go())


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 24] Too many open files"), True),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 101] Network unreachable"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), False),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), False),
        (ssl.SSLCertVerificationError("no"), False),
        (UnicodeError("no name"), False),
    ],
)
def test_errors_that_come_from_a_lack_of_descriptors(error: Exception, lacks: bool) -> None:
    assert lacks_descriptors(error) is lacks


def raised_from(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def circle() -> BaseException:
    outer, inner = RuntimeError("outer"), RuntimeError("inner")
    outer.__cause__, inner.__cause__ = inner, outer
    return outer


FULL = OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (FULL, True),
        (raised_from(RuntimeError("not reached"), FULL), True),
        (raised_from(RuntimeError("not reached"), ExceptionGroup("all", [ValueError(), FULL])), True),
        (RuntimeError(RuntimeError("Failed to establish a new connection: [Errno 24] Too many open files")), True),
        (raised_from(RuntimeError("not reached"), ConnectionRefusedError(errno.ECONNREFUSED, "refused")), False),
        (circle(), False),
    ],
)
def test_errors_of_other_clients_that_go_back_to_a_lack_of_descriptors(error: Exception, lacks: bool) -> None:
    assert come_from_lack(error) is lacks


NAMELESS = """
    import os, resource, socket
    from chatmodels.transport.descriptors import lacks_descriptors

    error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert not lacks_descriptors(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    told = lacks_descriptors(error)
    for number in held:
        os.close(number)
    print(told)
"""


def python(script: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.strip()


def test_a_name_that_could_not_be_looked_up_for_lack_of_descriptors() -> None:
    assert python(NAMELESS) == "True"


SHARED = """
    import asyncio, os, resource, sys, threading
    from chatmodels.transport.address import Target
    from chatmodels.transport.http import HttpTransport
    from chatmodels.transport.seam import Outgoing, Timeouts

    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    urls = [url.replace("127.0.0.1", host) for url in sys.argv[1:] for host in ("127.0.0.1", "localhost")]
    targets = [Target(url, {}) for url in urls]
    transports = [HttpTransport(lambda target=target: target, Timeouts(20.0, connect_s=5.0)) for target in targets]
    right, wrong, highest = [], [], [0]

    async def ask(number):
        transport = transports[number % len(transports)]
        try:
            body = (await transport.send(Outgoing("/chat", {"n": number}))).body
            (right if body == b'{"n":%d}' % number else wrong).append(number)
        except BaseException as error:
            wrong.append(repr(error))

    async def main(first):
        await asyncio.gather(*[ask(number) for number in range(first, first + 100)])

    def free():
        while not over.wait(0.002):
            number = os.open(os.devnull, os.O_RDONLY)
            highest[0] = max(number, highest[0])
            os.close(number)

    over = threading.Event()
    watch = threading.Thread(target=free)
    watch.start()
    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n))) for n in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    watch.join()
    print(len(right), wrong, len(os.listdir("/proc/self/fd")) < 12, highest[0] < 62)
"""


def test_endpoints_and_loops_share_the_descriptors_and_leave_some_to_others() -> None:
    def echo(peer: Peer) -> None:
        while request := peer.request():
            pause.wait(0.01)
            peer.send(ok(request.partition(b"\r\n\r\n")[2]))

    pause = threading.Event()
    with RawServer(echo) as one, RawServer(echo) as two:
        assert python(SHARED, one.url, two.url) == "400 [] True True"


LEFT = """
    import asyncio, os, resource, sys
    from chatmodels.transport.address import Target
    from chatmodels.transport.http import HttpTransport
    from chatmodels.transport.seam import Outgoing, Timeouts

    target = Target(sys.argv[1], {})
    kept = []

    def ask(count):
        kept.append(HttpTransport(lambda: target, Timeouts(20.0)))
        loop = asyncio.new_event_loop()
        replies = loop.run_until_complete(all_of(kept[-1], count))
        loop.close()  # and nobody has shut it down, so that its connections are still open
        return len(replies)

    async def all_of(transport, count):
        return await asyncio.gather(*[transport.send(Outgoing("/chat", {"n": n})) for n in range(count)])

    told = [ask(13) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    print(*told, ask(100))
    os._exit(sys.stdout.flush() or 0)
"""


def test_connections_that_closed_loops_have_left_open_make_room() -> None:
    def pause(peer: Peer) -> None:
        while peer.request():
            paced.wait(0.1)
            peer.send(ok())

    paced = threading.Event()
    with RawServer(pause) as server:
        assert python(LEFT, server.url) == "13 13 13 100"


def test_a_system_without_such_limits_has_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resource", None)
    descriptors, some = Descriptors(), Some(holds=True)
    descriptors.add(some)
    assert all(descriptors.enter() for _ in range(5000))


NESTED = """
    import asyncio, resource, sys
    from chatmodels.transport.address import Target
    from chatmodels.transport.http import HttpTransport
    from chatmodels.transport.seam import Outgoing, Timeouts

    target = Target(sys.argv[1], {})
    transport = HttpTransport(lambda: target, Timeouts(20.0))

    async def ask(depth):
        if depth == 0:
            return 0
        async with transport.open(Outgoing("/chat", {"n": depth})) as reply:
            return 1 + await ask(depth - 1)

    async def main():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
        print(await ask(12))

    asyncio.run(main())
"""


def test_calls_inside_calls_get_some_of_what_is_left_to_others() -> None:
    def slow(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{")
        peer.wait_for_end()

    with RawServer(slow) as server:
        assert python(NESTED, server.url) == "12"


def test_after_a_fork_nobody_waits_and_nothing_is_ours(limit: list[int]) -> None:
    async def go() -> Any:
        descriptors, some = Descriptors(), Some(holds=True)
        descriptors.add(some)
        descriptors.wait(QueuedCall(asyncio.get_running_loop(), some, HERE, 0.0), again=False)
        descriptors.enter()
        child = os.fork()
        if child == 0:
            limit[0] = 3
            os._exit(7 if not descriptors.waiting and descriptors.enter() and not descriptors.enter() else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert run(go()) == 7
