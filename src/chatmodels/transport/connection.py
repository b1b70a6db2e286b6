"""One HTTP/1.1 connection: writes a request, reads its reply with llhttp, and says whether it can serve another one."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, cast

import httptools

from chatmodels.transport.exchange import Exchange
from chatmodels.transport.seam import Timeouts, TransportFault, late
from fmf_core.errors import Code

MOST_HEAD_BYTES = 256 * 1024
"""A reply with more bytes than this in a row that are no body (a head, trailers) is none of a model server."""
_BODILESS = frozenset({204, 304})


class Connection(asyncio.Protocol):
    """Serves one exchange after the other; made by `loop.create_connection`.

    Args:
        loop: where it lives.
        on_change: called when an exchange is over and when the connection is gone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[Connection], None]) -> None:
        self.idle_since = 0.0
        self.lost = False
        self._loop = loop
        self._on_change = on_change
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._carrier: asyncio.Transport
        self._poll: Any = None
        self._exchange: Exchange | None = None
        self._timeouts = Timeouts()
        self._watch: asyncio.TimerHandle | None = None
        self._started = self._heard = self._sent = 0.0
        self._held = False
        self._headers: dict[str, str] = {}
        self._bytes_beside = 0
        self._answered = self._head_done = self._interim = self._until_close = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not self.lost and self._exchange is None and not self._transport.is_closing()

    @property
    def quiet(self) -> bool:
        """Whether nothing has come that the loop has not seen yet: an end, or bytes that nobody asked for."""
        if self._poll is None:
            number = self._transport.get_extra_info("socket").fileno()
            if number < 0 or not hasattr(select, "poll"):
                return number >= 0 and not select.select([number], [], [], 0)[0]
            self._poll = select.poll()
            self._poll.register(number, select.POLLIN)
        return not self._poll.poll(0)

    def begin(self, exchange: Exchange, request: bytes, timeouts: Timeouts, started: float) -> None:
        """Send `request` and report its reply to `exchange`.

        Args:
            exchange: is told what comes.
            request: head and body.
            timeouts: the limits that hold.
            started: the loop's time from which the total counts.
        """
        self._exchange = exchange
        self._timeouts = timeouts
        self._started = started
        self._heard = self._sent = self._loop.time()
        self._held = False
        self._headers = {}
        self._bytes_beside = 0
        self._answered = self._head_done = self._interim = self._until_close = False
        self._transport.write(request)
        self._keep_watch()

    def give_up(self, exchange: Exchange) -> None:
        """End `exchange` from this side if it is still under way: what may yet come belongs to nobody."""
        if self._exchange is exchange:
            self._ended()
            self._abort()

    def close(self) -> None:
        """Close at once."""
        self._fail(TransportFault("the connection was closed from this side", Code.CANCELLED))

    def drop(self) -> None:
        """Close the socket although the loop, which does that otherwise, is closed."""
        with suppress(Exception):
            self._transport.close()
        with suppress(Exception):  # what the loop would do one turn later; loops of others have done it themselves
            self._carrier._call_connection_lost(None)  # type: ignore[attr-defined]  # noqa: SLF001

    def hold(self, exchange: Exchange, *, held: bool) -> None:
        """Stop reading the reply to `exchange`, or go on; what that takes is not the server's time."""
        if self._exchange is not exchange or self._transport.is_closing():
            return
        now = self._loop.time()
        if self._held:
            self._started += now - self._heard
        self._held = held
        self._heard = now
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            self._keep_watch()

    # ------------------------------------------------------------------------------------------ what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = self._carrier = cast("asyncio.Transport", transport)

    def secured(self, transport: asyncio.Transport, carrier: asyncio.Transport) -> None:
        """From now on everything goes through TLS: `transport`, which writes to `carrier`."""
        self._transport, self._carrier = transport, carrier

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._exchange is None:
            self._abort()  # nobody asked: the next reply must not begin with them
            return
        self._heard = self._loop.time()
        self._bytes_beside += len(data)
        if not self._answered:
            self._answered = True
            if self._timeouts.between_bytes_s is not None:
                self._keep_watch()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            self._fail(error.__context__ if isinstance(error.__context__, TransportFault) else error)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(TransportFault(f"the reply is no HTTP/1.1: {error}", Code.BAD_REPLY, "check {address_names}"))
        else:
            if self._bytes_beside > MOST_HEAD_BYTES:
                self._fail(TransportFault(f"the reply has {self._bytes_beside} bytes of head", Code.BAD_REPLY))

    def eof_received(self) -> bool:
        """The server has ended its side: so do we."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.lost = True
        self._end_watch()
        if self._exchange is not None:
            if error is None and self._head_done and self._until_close:
                self._complete()
            else:
                self._fail(_broken(error, answered=self._answered))
        self._on_change(self)

    # --------------------------------------------------------------------------------------- what the parser calls

    def on_message_begin(self) -> None:
        """A reply begins."""
        if self._exchange is None:
            self._abort()  # it answers nothing that was asked

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head."""
        if self._head_done:
            return  # a trailer: what stands there comes too late to be counted on
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._exchange is None:
            return
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._interim:
            self._headers = {}
            # It says that somebody is there, and is no answer: the wait for the first byte goes on.
            self._answered, self._heard = False, self._sent
            self._keep_watch()
            return
        self._answered = self._head_done = True
        headers = self._headers
        sized = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        self._until_close = not sized and status not in _BODILESS
        self._exchange.begun(status, headers)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._bytes_beside = 0
        if self._exchange is not None:
            self._exchange.data(data)

    def on_message_complete(self) -> None:
        """The reply is whole."""
        if self._interim:
            self._interim = False
        elif self._exchange is not None:
            # A server that answers before it has read everything will take the rest for the next request.
            reusable = self._parser.should_keep_alive() and not self._unsent
            self._complete()
            if not reusable:
                self._abort()
            self._on_change(self)

    # ----------------------------------------------------------------------------------------------------- the end

    @property
    def _unsent(self) -> int:
        return self._transport.get_write_buffer_size() + self._carrier.get_write_buffer_size()

    def _complete(self) -> None:
        exchange = self._ended()
        self.idle_since = self._loop.time()
        try:
            exchange.done()
        except TransportFault as fault:
            exchange.fail(fault)

    def _fail(self, error: Exception) -> None:
        """Whatever is wrong, the connection can serve nobody else."""
        exchange = self._ended() if self._exchange is not None else None
        self._abort()
        if exchange is not None:
            exchange.fail(error)

    def _abort(self) -> None:
        if not self.lost:
            self._transport.abort()

    def _ended(self) -> Exchange:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None  # noqa: S101 - both callers have looked
        if self._held:
            self._held = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return exchange

    # ------------------------------------------------------------------------------------------------------- limits

    def _keep_watch(self) -> None:
        """Look again when the first of the limits may be over.

        A look that comes earlier than that, as one for the last exchange, is left as it is and sees to the next one:
        most exchanges end long before their limits, and a timer for each would cost more than parsing its reply.
        """
        silence, total_s = self._silence_s, self._timeouts.total_s
        at = inf if total_s is None or self._held else self._started + total_s
        if silence is not None and not self._held:
            at = min(at, self._heard + silence)
        if self._watch is not None:
            if self._watch.when() <= at:
                return
            self._watch.cancel()
            self._watch = None
        if at < inf:
            self._watch = self._loop.call_at(at, self._look)

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    @property
    def _silence_s(self) -> float | None:
        return self._timeouts.between_bytes_s if self._answered else self._timeouts.first_byte_s

    def _look(self) -> None:
        self._watch = None
        if self._exchange is None or self._held:
            return  # nobody is late as long as nothing is read; the watch goes on with the reading
        now, silence, total_s = self._loop.time(), self._silence_s, self._timeouts.total_s
        if not self._answered and self._unsent:
            self._heard = self._sent = now  # nobody answers what has not been sent
        if total_s is not None and now >= self._started + total_s:
            self._fail(late(total_s))
        elif silence is not None and now >= self._heard + silence:
            slow = ("nothing more came", "between_bytes") if self._answered else ("no first byte came", "first_byte")
            self._fail(late(silence, slow[0], f"{slow[1]}_timeout_s"))
        else:
            self._keep_watch()


def _broken(error: Exception | None, *, answered: bool) -> TransportFault:
    what = "in the middle of its reply" if answered else "without an answer"
    said = f" ({type(error).__name__}: {error})" if error is not None else ""
    fault = TransportFault(f"the server closed the connection {what}{said}", Code.UNAVAILABLE, "is the server up?")
    fault.__cause__ = error
    return fault
