"""Messages saved by Outlook (MSG): the same text as that of any other message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from oxmsg import Message
from oxmsg.domain import constants as ids
from oxmsg.domain import encodings
from oxmsg.properties import Properties

from fmf.config.processing import ProcessingConfig
from fmf.processing.loaders.base import Loaded
from fmf.processing.loaders.inner import one_line
from fmf.processing.loaders.mail.eml import loaded_letter
from fmf.processing.loaders.mail.headers import header_text
from fmf.processing.loaders.mail.letters import DEEPEST, LARGEST, Body, Letter, Part
from fmf.processing.source import MEGABYTE, Source
from fmf.processing.unreadable import damaged, unreadable

_ROOT, _INSIDE, _ATTACHED, _RECIPIENT = 32, 24, 8, 8
"""Where the properties of each kind of storage begin."""
_RECIPIENT_TYPE: Final = 0x0C15
_RTF: Final = 0x1009
_LISTS: Final = {1: "To", 2: "Cc", 3: "Bcc"}
_EMBEDDED_MESSAGE: Final = "3701000D"
_CIPHERS: Final = frozenset(
    {"application/pgp-encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}
)


def load(source: Source, settings: ProcessingConfig) -> Loaded:
    """A message: its headers, its body and the text of what is attached; its title is the subject.

    Raises:
        ProcessingError: it is no such message, damaged, encrypted, or too large.
    """
    if source.size > LARGEST:
        raise unreadable(source, "msg", f"it has more than {LARGEST / MEGABYTE:g} MB", hint="exclude the file")
    try:
        source.stream.seek(0)
        message = Message.load(source.stream.read())
        letter = _letter(message._storage, _ROOT, 0)  # noqa: SLF001 - embedded messages have no other way in
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        # The library checks little: damaged files raise whatever they lead to.
        raise damaged(source, "msg", error) from error
    if letter.unread_body and not letter.encrypted and not letter.parts:
        raise unreadable(
            source, "msg", "its text is there as RTF only, which is not read", hint="save it as EML or HTML in Outlook"
        )
    return loaded_letter(letter, source, settings, "msg")


def _letter(storage: Any, begin: int, depth: int) -> Letter:
    properties = Properties(storage, properties_header_offset=begin)
    letter = Letter()
    texts = {
        "From": _sender(properties),
        **_recipients(storage),
        "Date": _date(properties),
        "Subject": _text(properties, ids.PID_SUBJECT),
    }
    letter.headers = {name: value for name, text in texts.items() if (value := header_text(text))}
    sent = properties.date_prop_value(ids.PID_CLIENT_SUBMIT_TIME)
    if sent:
        letter.facts["created"] = sent.isoformat()
    letter.parts = list(_parts(storage, depth))
    message_class = _text(properties, ids.PID_MESSAGE_CLASS).upper()
    ciphered = any(part.media_type in _CIPHERS for part in letter.parts)
    if ciphered or (".SMIME" in message_class and not message_class.endswith("MULTIPARTSIGNED")):
        letter.encrypted = "PGP" if any("pgp" in part.media_type for part in letter.parts) else "S/MIME"
    letter.body = _body(properties)
    letter.unread_body = "RTF" if not letter.body and properties.binary_prop_value(_RTF) else ""
    return letter


def _body(properties: Properties) -> list[Body]:
    plain = _text(properties, ids.PID_BODY)
    if plain.strip():
        return [Body(plain.encode("utf-8", "surrogatepass"), "utf-8")]
    html = properties.binary_prop_value(ids.PID_HTML)
    if html:
        return [Body(html, _codepage(properties), html=True)]
    page = _text(properties, ids.PID_BODY_HTML)
    return [Body(page.encode("utf-8", "surrogatepass"), "utf-8", html=True)] if page.strip() else []


def _codepage(properties: Properties) -> str:
    found = properties.int_prop_value(ids.PID_INTERNET_CODEPAGE)
    try:
        return encodings.encoding_from_codepage(found) if found else ""
    except Exception:  # noqa: BLE001 - a page that nobody knows; the bytes tell more
        return ""


def _text(properties: Properties, number: int) -> str:
    return (properties.str_prop_value(number) or "").replace("\0", "")


def _sender(properties: Properties) -> str:
    name = _text(properties, ids.PID_SENDER_NAME) or _text(properties, ids.PID_SENT_REPRESENTING_NAME)
    address = _text(properties, ids.PID_SENDER_SMTP_ADDRESS) or _text(properties, ids.PID_SENDER_EMAIL_ADDRESS)
    return _person(name, address)


def _person(name: str, address: str) -> str:
    # Inside an organisation an address may be a path in its directory, which says nothing.
    address = "" if address.startswith("/") else address
    if not address or address == name:
        return name or address
    return f"{name} <{address}>" if name else address


def _recipients(storage: Any) -> dict[str, str]:
    people: dict[str, list[str]] = {name: [] for name in _LISTS.values()}
    for each in storage.iter_recipient_storages():
        properties = Properties(each, properties_header_offset=_RECIPIENT)
        name = _text(properties, ids.PID_DISPLAY_NAME)
        address = _text(properties, ids.PID_SMTP_ADDRESS) or _text(properties, ids.PID_EMAIL_ADDRESS)
        kind = _LISTS.get(properties.int_prop_value(_RECIPIENT_TYPE) or 1, "To")
        people[kind].append(_person(name, address))
    return {name: ", ".join(filter(None, each)) for name, each in people.items()}


def _date(properties: Properties) -> str:
    sent = properties.date_prop_value(ids.PID_CLIENT_SUBMIT_TIME)
    return sent.strftime("%a, %d %b %Y %H:%M:%S %z") if sent else ""


def _parts(storage: Any, depth: int) -> Iterator[Part]:
    for each in storage.iter_attachment_storages():
        properties = Properties(each, properties_header_offset=_ATTACHED)
        name = _text(properties, ids.PID_ATTACH_LONG_FILENAME) or _text(properties, ids.PID_ATTACH_FILENAME)
        inside = next((child for child in each.storages if child.name.endswith(_EMBEDDED_MESSAGE)), None)
        if inside is not None:
            letter = _letter(inside, _INSIDE, depth + 1) if depth < DEEPEST else None
            name = name or (letter.headers.get("Subject", "") if letter else "")
            yield Part(name or "message", "message/rfc822", bytes, letter)
            continue
        media_type = one_line(_text(properties, ids.PID_ATTACH_MIME_TAG)) or "application/octet-stream"
        data = properties.binary_prop_value(ids.PID_ATTACH_DATA_BINARY) or b""
        embedded = media_type.startswith("image/") and bool(_text(properties, ids.PID_ATTACH_CONTENT_ID))
        yield Part(name, media_type.lower(), lambda data=data: data, embedded=embedded)  # type: ignore[misc]
