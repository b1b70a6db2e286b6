"""MIME messages taken apart: which parts are the text, which are attached, whatever state the message is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.message import Message
from email.parser import BytesParser
from typing import BinaryIO, Final

from fmf.processing.characters.decode import wide_encoding
from fmf.processing.loaders.mail.headers import header_text, iso_date
from fmf.processing.loaders.mail.letters import DEEPEST, SHOWN, Body, Letter, Part
from fmf.processing.source import Source
from fmf.processing.unreadable import damaged, unreadable

# Headers are read by `headers`: the newer policies fail on broken ones, and take quadratic time for long ones.
_POLICY: Final = policy.compat32
_BROKEN: Final = (MessageError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""What the standard library raises for messages that nobody should have sent."""
_DEEPEST: Final = 100
_ENCRYPTED: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_CALENDAR: Final = "text/calendar"


def read_letter(source: Source, stream: BinaryIO, kind: str) -> Letter:
    """The message that is in a stream from its start.

    Raises:
        ProcessingError: it is no message, or one that cannot be taken apart.
    """
    stream.seek(0)
    start = stream.read(1 << 14)
    stream.seek(0)
    try:
        if wide := wide_encoding(start):
            text = stream.read().decode(wide).removeprefix("\ufeff")
            return letter_of(BytesParser(policy=_POLICY).parsebytes(text.encode()))
        return letter_of(BytesParser(policy=_POLICY).parse(stream))
    except RecursionError as error:
        raise unreadable(source, kind, "its parts are nested too deeply", hint="exclude the file") from error
    except _BROKEN as error:
        raise damaged(source, kind, error) from error


def letter_of(message: Message, depth: int = 0) -> Letter:
    """A parsed message, taken apart; raises what the standard library raises.

    Args:
        message: the message.
        depth: in how many messages it is.
    """
    letter = Letter()
    for name in SHOWN:
        values = [header_text(value) for value in raw_values(message, name)]
        if value := ", ".join(filter(None, values)):
            letter.headers[name] = value
    if found := next(raw_values(message, "Message-ID"), ""):
        letter.facts["message_id"] = header_text(found)
    if date := iso_date(letter.headers.get("Date", "")):
        letter.facts["created"] = date
    letter.encrypted = _encrypted(message)
    if not letter.encrypted:
        _Apart(letter, depth).take(message, 0)
    defects = {type(defect).__name__ for part in message.walk() for defect in part.defects}
    if defects:
        letter.facts["defects"] = sorted(defects)
    return letter


def raw_values(message: Message, name: str) -> Iterator[str]:
    """The values of a header as they stand in the message."""
    return (str(value) for key, value in message.raw_items() if key.lower() == name.lower())


def _encrypted(message: Message) -> str:
    kind = message.get_content_type()
    if kind == "multipart/encrypted":
        return "PGP" if "pgp" in _parameter(message, "protocol") else kind
    if kind not in _ENCRYPTED:
        return ""
    signed = _parameter(message, "smime-type") == "signed-data"
    return "S/MIME, in a signature that wraps it" if signed else "S/MIME"


@dataclass
class _Apart:
    """Puts each part of a message where it belongs."""

    letter: Letter
    depth: int
    """In how many messages it is."""

    def take(self, message: Message, level: int) -> None:
        """Put one part, and those inside it, in its place."""
        kind = message.get_content_type()
        if not message.is_multipart():
            _take_leaf(message, self.letter, kind)
        elif message.get_content_maintype() == "message":
            for each in _children(message):
                self._take_message(each, kind)
        elif level >= _DEEPEST:
            raise RecursionError
        elif kind == "multipart/alternative":
            self._take_best(message, level)
        else:
            for child in _children(message):
                self.take(child, level + 1)

    def _take_best(self, message: Message, level: int) -> None:
        """Of several forms of one text, the plainest that is not blank; what is no form of it, stays."""
        forms: list[tuple[int, Letter]] = []
        for child in _children(message):
            form = Letter()
            _Apart(form, self.depth).take(child, level + 1)
            if form.body:
                forms.append((_rank(form), form))
            else:
                self.letter.parts += form.parts
        if not forms:
            return
        _, best = min(forms, key=lambda form: form[0])
        self.letter.body += best.body
        # Pictures of a form that is left out are left out too, documents are not.
        for _, form in forms:
            self.letter.parts += [part for part in form.parts if form is best or not part.embedded]

    def _take_message(self, message: Message, kind: str) -> None:
        if kind != "message/rfc822":
            self.letter.parts.append(Part(kind.replace("/", "."), "text/plain", message.as_bytes))
            return
        inner = letter_of(message, self.depth + 1) if self.depth < DEEPEST else None
        name = header_text(next(raw_values(message, "Subject"), "")) or "message"
        self.letter.parts.append(Part(name, kind, message.as_bytes, inner))


def _rank(form: Letter) -> int:
    if not any(body.data.strip() for body in form.body):
        return 3
    return 2 if any(body.html for body in form.body) else 1


def _children(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _take_leaf(message: Message, letter: Letter, kind: str) -> None:
    name = header_text(_file_name(message))
    disposition = str(message.get("Content-Disposition", "")).strip().lower()
    attached = disposition.startswith("attachment") or bool(name)
    if message.get_content_maintype() == "multipart":
        kind = "text/plain"  # it has no parts, so what it holds is all that there is
    if kind in {"text/plain", "text/html"} and not attached:
        data = _bytes_of(message)()
        letter.body.append(Body(data, _charset(message), html=kind == "text/html"))
        return
    if not name:
        name = "invitation.ics" if kind == _CALENDAR else kind.replace("/", ".")
    embedded = kind.startswith("image/") and not disposition.startswith("attachment") and "Content-ID" in message
    letter.parts.append(Part(name, kind, _bytes_of(message), embedded=embedded))


def _bytes_of(message: Message) -> Callable[[], bytes]:
    def data() -> bytes:
        payload = message.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""

    return data


def _charset(message: Message) -> str:
    return _parameter(message, "charset")


def _parameter(message: Message, name: str) -> str:
    value = message.get_param(name)
    if isinstance(value, tuple):
        value = value[2]
    return str(value or "").strip().lower()


def _file_name(message: Message) -> str:
    """The name of an attachment as it stands there, from either header."""
    for header, name in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        value = message.get_param(name, header=header.lower())
        if isinstance(value, tuple):
            charset, _, text = value
            data = text.encode("latin-1", "replace")  # the parser gives bytes as characters
            return f"=?{charset or 'utf-8'}?Q?{''.join(f'={byte:02X}' for byte in data)}?=" if data else ""
        if value:
            return str(value)
    return ""
