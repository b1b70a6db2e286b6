"""Server-sent events, cut out of the bytes of a stream."""

from __future__ import annotations


class EventLines:
    """Cuts the bytes of a server-sent event stream into the data of its events, wherever the pieces were cut."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of every event that `piece` completes."""
        lines = piece.split(b"\n")
        if len(lines) == 1:
            self._rest.append(piece)
            return []
        if self._rest:
            lines[0] = b"".join([*self._rest, lines[0]])
        last = lines.pop()
        self._rest = [last] if last else []
        return self._events(lines)

    def close(self) -> list[bytes]:
        """The data of an event that the end of the stream left without its blank line."""
        return self._events([b"".join(self._rest), b""])

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events, data = [], self._data
        for ended in lines:
            line = ended[:-1] if ended[-1:] == b"\r" else ended
            if line[:5] == b"data:":
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                data.append(b"")
            elif not line and data:
                events.append(b"\n".join(data))
                data.clear()
        return events
