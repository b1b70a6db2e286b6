"""EML, MSG and mailboxes: parts in parts, headers without end, charsets that are lies."""

from __future__ import annotations

import base64
from typing import Any

from bad_input.case import Case, case, fails, ok
from bad_input.made import ole, zips
from bad_input.seeds import EML

HEAD = "From: ann@example.org\r\nTo: bob@example.org\r\nSubject: Plums\r\nMIME-Version: 1.0\r\n"


def _mail(body: str | bytes, kind: str = "text/plain; charset=utf-8", more: str = "") -> bytes:
    body = body.encode() if isinstance(body, str) else body
    return f"{HEAD}Content-Type: {kind}\r\n{more}\r\n".encode() + body


def _multipart(*parts: str, boundary: str = "b", end: bool = True) -> bytes:
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + (f"--{boundary}--\r\n" if end else "")
    return _mail(body, f'multipart/mixed; boundary="{boundary}"')


def _plain(text: str) -> str:
    return f"Content-Type: text/plain\r\n\r\n{text}"


def _attached(name: str, data: bytes, kind: str = "application/octet-stream") -> str:
    body = base64.encodebytes(data).decode()
    return (
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; "
        f'filename="{name}"\r\n\r\n{body}'
    )


def _nested_parts(depth: int) -> bytes:
    opened = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth))
    return (HEAD + opened + _plain("plum")).encode()


def _nested_mails(depth: int) -> bytes:
    inner = HEAD + "Content-Type: message/rfc822\r\n\r\n"
    return (inner * depth + HEAD + "\r\nplum").encode()


def _headers() -> list[Case]:
    return [
        case("a mail without a head", "a.eml", b"\r\nplum is all it says", ok("plum")),
        case("a mail without a body", "a.eml", (HEAD + "\r\n").encode(), ok("Plums")),
        case("a header of 5 MB", "a.eml", (HEAD + "X-Long: " + "x" * 5_000_000 + "\r\n\r\nplum").encode(), ok("plum")),
        case(
            "100,000 headers",
            "a.eml",
            (HEAD + "".join(f"X-{n}: y\r\n" for n in range(100_000)) + "\r\nplum").encode(),
            ok("plum"),
        ),
        case(
            "20,000 recipients",
            "a.eml",
            ("To: " + ", ".join(f"a{n}@example.org" for n in range(20_000)) + "\r\nSubject: x\r\n\r\nplum").encode(),
            ok("plum"),
        ),
        case(
            "a date that never was",
            "a.eml",
            ("Date: Fri, 99 Foo 20266 99:99:99 +9999\r\n" + HEAD + "\r\nplum").encode(),
            ok("plum"),
        ),
        case(
            "a subject whose charset nobody knows",
            "a.eml",
            b"Subject: =?plum?q?a=FFb?= =?utf-8?b?!!!?=\r\nFrom: a@example.org\r\n\r\nplum",
            ok("plum"),
        ),
        case(
            "raw bytes in a header",
            "a.eml",
            b"Subject: \xff\xfe pl\xfcm\r\nFrom: a@example.org\r\n\r\nplum",
            ok("plum"),
        ),
        case(
            "a subject with a second header in it",
            "a.eml",
            b"Subject: =?utf-8?q?a=0D=0ABcc:_x@example.org?=\r\nFrom: a@example.org\r\n\r\nplum",
            ok("plum"),
        ),
        case(
            "an address 50,000 brackets deep",
            "a.eml",
            b"From: " + b"(" * 50_000 + b"a@example.org\r\nSubject: x\r\n\r\nplum",
            ok("plum"),
        ),
    ]


def _bodies() -> list[Case]:
    return [
        case(
            "a charset of a mail that is a lie",
            "a.eml",
            _mail("plüm".encode("utf-16"), "text/plain; charset=ascii"),
            ok("Plums"),
        ),
        case("a charset of a mail that nobody knows", "a.eml", _mail("plum", "text/plain; charset=plum"), ok("plum")),
        case(
            "bytes of Latin-1 that call themselves UTF-8",
            "a.eml",
            _mail("plüm and crème".encode("latin-1")),
            ok("Plums"),
        ),
        case(
            "base64 that is none",
            "a.eml",
            _mail("!!! plum %%%", more="Content-Transfer-Encoding: base64\r\n"),
            ok("Plums"),
        ),
        case(
            "a coding that nobody knows", "a.eml", _mail("plum", more="Content-Transfer-Encoding: plum\r\n"), ok("plum")
        ),
        case(
            "parts without an end", "a.eml", _multipart(_plain("plum"), _plain("pear"), end=False), ok("plum", "pear")
        ),
        case("parts without a boundary", "a.eml", _mail("--b\r\nplum", "multipart/mixed"), ok("plum")),
        case("a boundary that never comes", "a.eml", _mail("plum", "multipart/mixed; boundary=nowhere"), ok("Plums")),
        case("parts 1,000 deep", "a.eml", _nested_parts(1_000), fails("a.eml", "deep")),
        case("mails 500 deep", "a.eml", _nested_mails(500), fails("a.eml", "deep")),
        case("10,000 parts", "a.eml", _multipart(*[_plain(f"plum {n}") for n in range(10_000)]), ok("plum 1")),
        case(
            "a bomb as an attachment",
            "a.eml",
            lambda: _multipart(_plain("plum"), _attached("a.zip", zips.archive(zips.bomb("a.txt", 100)))),
            ok("plum"),
        ),
        case(
            "an attachment that leaves the folder",
            "a.eml",
            _multipart(_plain("plum"), _attached("../../etc/cron.d/x", b"evil", "text/plain")),
            ok("plum"),
        ),
        case(
            "an attachment with a line end in its name",
            "a.eml",
            _multipart(_plain("plum"), _attached("a\r\n b|c.txt", b"pear", "text/plain")),
            ok("plum"),
        ),
        case("only an attachment", "a.eml", _multipart(_attached("a.bin", b"\0\1\2")), ok("Plums")),
        case(
            "a mail that is encrypted",
            "a.eml",
            _mail(
                "MIIBagYJKoZI",
                "application/pkcs7-mime; smime-type=enveloped-data",
                "Content-Transfer-Encoding: base64\r\n",
            ),
            fails("encrypted"),
        ),
        case(
            "a script in a mail",
            "a.eml",
            _mail("<p>plum</p><script>alert(1)</script>", "text/html"),
            ok("plum", lacks=("alert",)),
        ),
        case("HTML 20,000 deep in a mail", "a.eml", _mail("<div>" * 20_000 + "plum", "text/html"), ok("plum")),
        case(
            "a body elsewhere",
            "a.eml",
            _mail("plum", 'message/external-body; access-type=local-file; name="/etc/passwd"'),
            ok("Plums", lacks=("root:",)),
        ),
        case("a NUL byte in a mail", "a.eml", _mail("pl\0um"), ok("Plums")),
    ]


def _chain(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = ole.msg_tree("Innermost", "plum", top=False)
    for level in range(depth):
        tree = ole.msg_tree(f"Level {level}", "pear", attached=tree, top=False)
    return tree


def _outlook() -> list[Case]:
    properties = {"__properties_version1.0": b"\xff" * 64}
    return [
        case("a message without properties", "a.msg", ole.compound({"other": b"plum"}), fails("a.msg")),
        case("properties that are noise", "a.msg", ole.compound(properties), fails("a.msg")),
        case("a message without a body", "a.msg", ole.msg("Plums", None), ok("Plums")),
        case(
            "a container that runs in a circle",
            "a.msg",
            ole.compound({"a": bytes(9_000)}, fat_loop=True),
            fails("a.msg"),
        ),
        case("messages 60 deep", "a.msg", lambda: ole.msg("Top", "plum", attached=_chain(60)), ok("plum")),
        case("an encrypted document that calls itself a message", "a.msg", ole.encrypted_package(), fails("a.msg")),
        case(
            "a mailbox with a broken mail",
            "a.mbox",
            b"From a Mon Nov  2 10:00:00 2026\n\xff\xfe\n\nFrom b Mon Nov  2 10:00:00 2026\n" + EML.encode(),
            ok("plum"),
        ),
        case(
            "a mailbox of 2,000 separators",
            "a.mbox",
            b"From a Mon Nov  2 10:00:00 2026\n\n" * 2_000 + b"plum",
            ok("plum"),
        ),
    ]


def cases() -> list[Case]:
    """All of them."""
    return [*_headers(), *_bodies(), *_outlook()]
