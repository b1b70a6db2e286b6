"""Whole characters in the texts of a stream, whose pieces may be cut amid one."""

from __future__ import annotations

from chatmodels.providers.call import Call


class Characters:
    """The text of a stream whose pieces may be cut amid a character that is escaped as two halves.

    Args:
        call: the call that is answered.
    """

    __slots__ = ("_call", "_held")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._held = ""

    def feed(self, piece: str) -> str:
        """As much of the text as is whole characters; half a one at the end waits for the other half."""
        if not self._held and (piece.isascii() or _is_whole(piece)):
            return piece
        text = self._held + piece
        self._held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        try:
            return whole_characters(text[: len(text) - len(self._held)])
        except ValueError as error:
            raise self._call.bad_reply("a piece of the stream holds half a character", ascii(piece)) from error

    def finish(self) -> None:
        """Make sure that nothing waits any more."""
        if self._held:
            raise self._call.bad_reply("the text of the stream ends with half a character", ascii(self._held))


def whole_characters(text: str) -> str:
    """`text` with the halves of characters put together.

    Raises:
        ValueError: one has no other half.
    """
    return text if _is_whole(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
