"""Server-sent events, cut out of the bytes of a stream."""

from __future__ import annotations

from collections.abc import Iterator


class EventLines:
    """Cuts the bytes of a server-sent event stream into the data of its events, wherever the pieces were cut."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of every event that `piece` completes."""
        first, *others = piece.split(b"\n")
        self._rest.append(first)
        if not others:
            return
        yield from self._line(b"".join(self._rest).removesuffix(b"\r"))
        self._rest = [others.pop()]
        for line in others:
            yield from self._line(line.removesuffix(b"\r"))

    def close(self) -> Iterator[bytes]:
        """The data of an event that the end of the stream left without its blank line."""
        yield from self._line(b"".join(self._rest).removesuffix(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if not line:
            if self._data:
                yield b"\n".join(self._data)
            self._data = []
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
