from __future__ import annotations

import asyncio
import errno
import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from chatmodels.transport import pool
from chatmodels.transport.address import Target
from chatmodels.transport.descriptors import descriptors
from chatmodels.transport.http import HttpTransport
from chatmodels.transport.seam import Outgoing, Timeouts, TransportFault, UnsentFault
from fmf_core.errors import Code
from fmf_core.portal import run_sync
from peers.raw_server import Peer, RawServer, ok

ASK = Outgoing("/chat", {"prompt": "x"})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def transport_to(server: RawServer, **limits: Any) -> HttpTransport:
    target = Target(server.url, {})
    return HttpTransport(lambda: target, Timeouts(**{"total_s": 5.0, **limits}))


async def ended(server: RawServer, open_connections: int = 0) -> None:
    """Give the loop the time to close what it wants to close."""
    for _ in range(1000):
        if server.open_connections == open_connections:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{server.open_connections} connections are open")


def both_at_once(peer: Peer, barrier: threading.Barrier) -> None:
    while peer.request():
        barrier.wait(5)
        peer.send(ok())


# -------------------------------------------------------------------------------------------------------- keeping


def test_calls_one_after_the_other_share_a_connection() -> None:
    async def go() -> None:
        transport = transport_to(server)
        for _ in range(20):
            await transport.send(ASK)

    with RawServer(ok()) as server:
        run(go())
    assert server.connections == 1


def test_calls_at_once_have_a_connection_each_and_leave_them_to_others() -> None:
    barrier = threading.Barrier(3)

    async def go() -> None:
        transport = transport_to(server)
        for _ in range(3):
            await asyncio.gather(*[transport.send(ASK) for _ in range(3)])

    with RawServer(lambda peer: both_at_once(peer, barrier)) as server:
        run(go())
    assert server.connections == 3


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        transport = transport_to(server)
        await transport.send(ASK)
        monkeypatch.setattr(pool, "KEEP_S", 0.0)
        await transport.send(ASK)
        assert server.connections == 2
        await ended(server, 1)

    with RawServer(ok()) as server:
        run(go())


def test_connections_that_nobody_uses_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEEP_S", 0.1)
    barrier = threading.Barrier(3)

    async def go() -> None:
        transport = transport_to(server)
        await asyncio.gather(*[transport.send(ASK) for _ in range(3)])
        await ended(server)
        await asyncio.gather(*[transport.send(ASK) for _ in range(3)])
        await ended(server)

    with RawServer(lambda peer: both_at_once(peer, barrier)) as server:
        run(go())


def test_a_sweep_leaves_what_was_used_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        transport = transport_to(server)
        await transport.send(ASK)
        swept = transport._pools[asyncio.get_running_loop()]
        swept._close_unused()
        await transport.send(ASK)
        assert server.connections == 1

    with RawServer(ok()) as server:
        run(go())


def test_every_server_has_connections_of_its_own() -> None:
    with RawServer(ok(b"one")) as one, RawServer(ok(b"two")) as two:
        targets = [Target(one.url, {}), Target(two.url, {})] * 3
        transport = HttpTransport(lambda: targets.pop(0))

        async def go() -> list[bytes]:
            return [(await transport.send(ASK)).body for _ in range(6)]

        assert run(go()) == [b"one", b"two"] * 3
        assert (one.connections, two.connections) == (1, 1)


def test_nobody_listens() -> None:
    with RawServer(ok()) as server:
        pass
    with pytest.raises(TransportFault, match=r"127.0.0.1:\d+ cannot be reached: ConnectionRefusedError") as caught:
        run(transport_to(server).send(ASK))
    assert (caught.value.code, caught.value.hint) == (Code.UNAVAILABLE, "is the server up?")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example", "a..b"])
def test_a_host_that_is_none(host: str) -> None:
    target = Target(f"http://{host}", {})
    with pytest.raises(TransportFault, match="cannot be reached") as caught:
        run(HttpTransport(lambda: target).send(ASK))
    assert caught.value.code is Code.UNAVAILABLE


def test_ipv6() -> None:
    with RawServer(ok(b"six"), host="::1") as server:
        target = Target(f"http://[::1]:{server.port}", {})
        assert run(HttpTransport(lambda: target).send(ASK)).body == b"six"
    assert f"host: [::1]:{server.port}".encode() in server.requests[0]


# ------------------------------------------------------------------------------------------- loops, threads, forks


def test_loops_that_end_leave_nothing_open() -> None:
    with RawServer(ok()) as server:
        transport = transport_to(server)
        for _ in range(3):
            run(transport.send(ASK))
            server.wait_for(lambda s: s.open_connections == 0)
        gc.collect()  # a socket that was not closed warns, and warnings are errors here
    assert server.connections == 3


def test_loops_and_threads_at_once() -> None:
    bodies: list[bytes] = []

    def serve(peer: Peer) -> None:
        while request := peer.request():
            peer.send(ok(request.partition(b"\r\n\r\n")[2]))

    async def ask(number: int) -> None:
        for turn in range(5):
            asked = Outgoing("/chat", {"n": number * 10 + turn})
            bodies.append((await transport.send(asked)).body)

    with RawServer(serve) as server:
        transport = transport_to(server)
        threads = [threading.Thread(target=run, args=(ask(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        run_sync(ask(8))
        for thread in threads:
            thread.join()
        assert sorted(bodies) == sorted(b'{"n":%d}' % (n * 10 + turn) for n in range(9) for turn in range(5))
        assert server.connections == 9
        run_sync(transport.close())
        server.wait_for(lambda s: s.open_connections == 0)


def test_close_closes_what_is_open_and_the_transport_goes_on() -> None:
    async def go() -> None:
        transport = transport_to(server)
        for _ in range(2):
            await transport.send(ASK)
            await transport.close()
            await ended(server)
        await transport.close()
        await transport.send(ASK)

    with RawServer(ok()) as server:
        run(go())
    assert server.connections == 3


def test_close_reaches_the_connections_of_another_loop() -> None:
    with RawServer(ok()) as server:
        transport = transport_to(server)
        run_sync(transport.send(ASK))
        assert server.open_connections == 1
        run(transport.close())
        server.wait_for(lambda s: s.open_connections == 0)
        assert run_sync(transport.send(ASK)).body == b"{}"


def test_a_call_under_way_is_told_that_its_transport_was_closed() -> None:
    asked = threading.Event()

    def serve(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.wait_for_end()

    async def go() -> None:
        transport = transport_to(server)
        call = asyncio.create_task(transport.send(ASK))
        await asyncio.get_running_loop().run_in_executor(None, asked.wait, 5)
        await transport.close()
        with pytest.raises(TransportFault, match="closed from this side") as caught:
            await call
        assert caught.value.code is Code.CANCELLED

    with RawServer(serve) as server:
        run(go())


def test_a_call_that_began_before_the_transport_was_closed_leaves_nothing_open() -> None:
    async def go() -> None:
        transport = transport_to(server)
        call = asyncio.create_task(transport.send(ASK))
        await asyncio.sleep(0)  # it is connecting
        await transport.close()
        assert (await call).body == b"{}"
        await ended(server)

    with RawServer(ok()) as server:
        run(go())


def test_close_while_a_call_is_connecting_closes_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()
    dial = pool.dial
    begun: list[Any] = []

    async def slowly(*args: Any) -> None:
        begun.append(args)
        if len(begun) == 1:
            await gate.wait()
        await dial(*args)

    monkeypatch.setattr(pool, "dial", slowly)

    async def go() -> None:
        transport = transport_to(server)
        connecting = asyncio.create_task(transport.send(ASK))
        while not begun:
            await asyncio.sleep(0)
        await transport.send(ASK)
        assert server.open_connections == 1
        await transport.close()
        await ended(server)
        gate.set()
        assert (await connecting).status == 200
        await ended(server)

    with RawServer(ok()) as server:
        run(go())


def test_what_a_closed_loop_left_open_is_closed_by_the_next_one() -> None:
    loops = [asyncio.new_event_loop() for _ in range(3)]
    with RawServer(ok()) as server:
        transport = transport_to(server)
        for loop in loops:
            loop.run_until_complete(transport.send(ASK))
            loop.close()
            server.wait_for(lambda s: s.open_connections == 1)
        run(transport.close())
        server.wait_for(lambda s: s.open_connections == 0)
        assert server.connections == 3


def test_closing_when_the_loop_has_ended_does_nothing() -> None:
    loop = asyncio.new_event_loop()
    with RawServer(ok()) as server:
        transport = transport_to(server)
        loop.run_until_complete(transport.send(ASK))
        run(transport.close())  # that loop stands still: nobody can close its connections for it
        assert server.open_connections == 1
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        server.wait_for(lambda s: s.open_connections == 0)


def test_a_transport_that_nobody_has_any_more_closes_its_connections() -> None:
    with RawServer(ok()) as server:
        transport = transport_to(server)
        run_sync(transport.send(ASK))
        assert server.open_connections == 1
        del transport
        gc.collect()
        server.wait_for(lambda s: s.open_connections == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_parent_and_child_have_their_own_connections() -> None:
    def serve(peer: Peer) -> None:
        while request := peer.request():
            peer.send(ok(request.partition(b"\r\n\r\n")[2]))

    with RawServer(serve) as server:
        transport = transport_to(server)
        assert run_sync(transport.send(Outgoing("/chat", {"n": 1}))).body == b'{"n":1}'
        answers = multiprocessing.get_context("fork").SimpleQueue()
        child = os.fork()
        if child == 0:
            try:
                answers.put(run(transport.send(Outgoing("/chat", {"n": 2}))).body)
                run(transport.close())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert answers.get() == b'{"n":2}'
        assert run_sync(transport.send(Outgoing("/chat", {"n": 3}))).body == b'{"n":3}'
        assert server.connections == 2
        run_sync(transport.close())


# ------------------------------------------------------------------------------------------------ file descriptors

FEW_FILES = """
    import asyncio, orjson, resource, sys
    from chatmodels.transport.address import Target
    from chatmodels.transport.http import HttpTransport
    from chatmodels.transport.seam import Outgoing, Timeouts, TransportFault, UnsentFault

    url, host, limit, connect_s = sys.argv[1:]
    target = Target(url.replace("127.0.0.1", host), {})
    transport = HttpTransport(lambda: target, Timeouts(20.0, connect_s=float(connect_s)))

    async def ask(number):
        return (await transport.send(Outgoing("/chat", {"n": number}))).body == b'{"n":%d}' % number

    async def main():
        if host != "127.0.0.1":
            await ask(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
        try:
            print(sum(await asyncio.gather(*[ask(number) for number in range(200)])))
        except TransportFault as fault:
            print(fault.code, fault.message)

    with asyncio.Runner() as runner:
        runner.run(main())
"""


def with_few_files(server: RawServer, *, host: str = "127.0.0.1", limit: int = 40, connect_s: float = 10.0) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(FEW_FILES), server.url, host, str(limit), str(connect_s)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.strip()


def echo(peer: Peer) -> None:
    while request := peer.request():
        peer.send(ok(request.partition(b"\r\n\r\n")[2]))


def echo_and_close(peer: Peer) -> None:
    peer.send(ok(peer.request().partition(b"\r\n\r\n")[2], "connection: close"))


@pytest.mark.parametrize("serve", [echo, echo_and_close])
def test_more_calls_than_file_descriptors(serve: Any) -> None:
    with RawServer(serve) as server:
        assert with_few_files(server) == "200"


def test_waiting_for_a_file_descriptor_is_not_the_time_to_connect() -> None:
    def serve(peer: Peer) -> None:
        while request := peer.request():
            paced.wait(0.05)
            peer.send(ok(request.partition(b"\r\n\r\n")[2]))

    paced = threading.Event()
    with RawServer(serve) as server:
        assert with_few_files(server, connect_s=0.2) == "200"


async def full(*_: Any) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def test_when_nothing_of_ours_is_open_calls_wait_as_long_as_a_connection_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go() -> list[Any]:
        transport = transport_to(server, connect_s=0.4)
        return await asyncio.gather(*[transport.send(ASK) for _ in range(3)], return_exceptions=True)

    monkeypatch.setattr(pool, "dial", full)
    with RawServer(ok()) as server:
        faults = run(go())
    assert [fault.code for fault in faults] == [Code.UNAVAILABLE] * 3
    assert all(isinstance(fault, UnsentFault) for fault in faults), "the server is not to blame"
    assert all("too many open files" in fault.message for fault in faults)
    assert all("ulimit" in fault.hint for fault in faults)


def test_a_descriptor_that_other_code_frees_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pool.dial

    async def go() -> None:
        transport = transport_to(server)
        monkeypatch.setattr(pool, "dial", full)
        calls = [asyncio.create_task(transport.send(ASK)) for _ in range(5)]
        await asyncio.sleep(0.1)
        monkeypatch.setattr(pool, "dial", made)
        assert [reply.body for reply in await asyncio.gather(*calls)] == [b"{}"] * 5

    with RawServer(ok()) as server:
        run(go())
    assert not descriptors.waiting


def test_connections_to_elsewhere_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    made, none_left = pool.dial, [False]

    async def dial(*args: Any) -> None:
        await (full if none_left.pop() else made)(*args)

    monkeypatch.setattr(pool, "dial", dial)
    with RawServer(ok(b"one")) as one, RawServer(ok(b"two")) as two:
        targets = [Target(one.url, {}), Target(two.url, {})]
        transport = HttpTransport(lambda: targets.pop(0))

        async def go() -> None:
            await transport.send(ASK)
            none_left.extend([False, True])
            assert (await transport.send(ASK)).body == b"two"
            await ended(one)

        run(go())


def test_who_gives_up_waiting_for_a_file_descriptor_lets_the_next_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(peer: Peer) -> None:
        while peer.request():
            go_on.wait(5)
            peer.send(ok())

    go_on, made = threading.Event(), pool.dial

    async def go() -> None:
        transport = transport_to(server)
        holder = asyncio.create_task(transport.send(ASK))
        await ended(server, 1)
        monkeypatch.setattr(pool, "dial", full)
        waiting = [asyncio.create_task(transport.send(ASK)) for _ in range(3)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        go_on.set()
        await holder
        waiting[1].cancel()  # when it may have been called already, and may be using the connection
        monkeypatch.setattr(pool, "dial", made)
        assert (await waiting[2]).body == b"{}"

    with RawServer(serve) as server:
        run(go())
    assert server.connections <= 2
