"""Messages for tests, made by hand."""

from __future__ import annotations

import base64

HEAD = (
    "From: Ann Example <ann@example.org>\r\nTo: Bob <bob@example.org>, carl@example.org\r\nCc: dora@example.org\r\n"
    "Date: Sat, 28 Nov 2026 17:25:48 +0100\r\nSubject: =?utf-8?q?Pl=C3=BCms?= in May\r\nMessage-ID: <1@example.org>\r\n"
    "MIME-Version: 1.0\r\n"
)


def mail(body: str | bytes, kind: str = "text/plain; charset=utf-8", more: str = "", head: str = HEAD) -> bytes:
    """A message with one part."""
    body = body if isinstance(body, bytes) else body.encode()
    return f"{head}Content-Type: {kind}\r\n{more}\r\n".encode() + body


def multipart(*parts: bytes, kind: str = "mixed", head: str = HEAD, boundary: str = "edge") -> bytes:
    """A message with several parts."""
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts) + b"--%b--\r\n" % boundary.encode()
    return mail(body, f'multipart/{kind}; boundary="{boundary}"', head=head)


def part(body: str | bytes, kind: str = "text/plain; charset=utf-8", more: str = "") -> bytes:
    """A part of a message."""
    return mail(body, kind, more, head="")


def attached(name: str, data: bytes, kind: str = "application/octet-stream") -> bytes:
    """An attachment."""
    more = f'Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="{name}"\r\n'
    return part(base64.encodebytes(data), kind, more)


def folder(*messages: bytes) -> bytes:
    """An mbox file."""
    return b"".join(b"From ann@example.org Sat Nov 28 17:00:00 2026\r\n" + each + b"\r\n\r\n" for each in messages)
