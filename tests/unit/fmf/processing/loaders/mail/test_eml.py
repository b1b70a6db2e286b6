"""Messages and folders of messages: headers, the plainest body that says something, attachments, and nothing lost."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.base import Mark
from fmf.processing.loaders.mail import eml as loader
from fmf.processing.loaders.mail import letters
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.loaders.mails import HEAD, attached, folder, mail, multipart, part
from unit.fmf.processing.memory import source_of

SHOWN = (
    "From: Ann Example <ann@example.org>\nTo: Bob <bob@example.org>, carl@example.org\nCc: dora@example.org\n"
    "Date: Sat, 28 Nov 2026 17:25:48 +0100\nSubject: Plüms in May\n"
)
PAGE = "<html><body><h1>Plums</h1><p>A <b>plum</b>.</p><script>no()</script></body></html>"


def load(data: bytes, name: str = "a.eml", load=loader.load, **config):
    with source_of(data, name) as source:
        loaded = load(source, ProcessingConfig(**config))
        pieces = list(loaded.pieces)
        return (
            "".join(each for each in pieces if isinstance(each, str)),
            loaded,
            [each for each in pieces if isinstance(each, Mark)],
        )


class TestExam(LoaderExam):
    words: ClassVar = {
        "plain.eml": ["From: Ann", "Subject: Plüms in May", "A plum is a fruit, café."],
        "full.eml": ["Subject: Plüms", "# Plums", "A **plum**.", "Attachment: prices.csv", "| kind | price |"],
        "latin.eml": ["Größe"],
    }

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {
            "plain.eml": mail("A plum is a fruit, café.\r\n"),
            "full.eml": multipart(
                multipart(part(PAGE, "text/html"), kind="alternative", head="", boundary="inner"),
                attached("prices.csv", b"kind,price\na,1\n", "text/csv"),
            ),
            "latin.eml": mail("Größe".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        }


class TestMboxExam(LoaderExam):
    words: ClassVar = {"a.mbox": ["Subject: Plüms", "first", "second"]}

    def make_loader(self):
        return loader.load_mbox

    def make_files(self):
        return {"a.mbox": folder(mail("first\r\n"), mail("second\r\n"))}


def test_headers_stand_first_and_are_metadata():
    text, loaded, _ = load(mail("A plum."))
    assert text == SHOWN + "\nA plum.\n"
    assert loaded.title == "Plüms in May"
    assert loaded.metadata == {
        "from": "Ann Example <ann@example.org>",
        "to": "Bob <bob@example.org>, carl@example.org",
        "cc": "dora@example.org",
        "date": "Sat, 28 Nov 2026 17:25:48 +0100",
        "subject": "Plüms in May",
        "message_id": "<1@example.org>",
        "created": "2026-11-28T17:25:48+01:00",
    }


@pytest.mark.parametrize(
    ("parts", "expected", "markdown"),
    [
        ((part("plain form"), part(PAGE, "text/html")), "plain form", False),
        ((part(PAGE, "text/html"), part("plain form")), "plain form", False),
        ((part(" \r\n"), part(PAGE, "text/html")), "# Plums\n\nA **plum**.", True),
        ((part(PAGE, "text/html"),), "# Plums\n\nA **plum**.", True),
    ],
)
def test_of_several_forms_the_plainest_that_says_something_is_read(parts, expected, markdown):
    text, loaded, _ = load(multipart(*parts, kind="alternative"))
    assert text.removeprefix(SHOWN).strip() == expected
    assert loaded.markdown == markdown


def test_markdown_is_off_on_demand():
    text, loaded, _ = load(mail(PAGE, "text/html"), text={"preserve_markdown": False})
    assert "Plums\n\nA plum." in text
    assert not loaded.markdown


def test_attachments_are_read_where_they_can_be_and_named_where_they_cannot():
    text, loaded, marks = load(
        multipart(
            part("See below."),
            attached("notes.txt", b"Some notes."),
            attached("prices.csv", b"kind,price\na,1\n", "text/csv"),
            attached("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "image/png"),
            attached("all.zip", b"PK\x03\x04" + bytes(50), "application/zip"),
            attached("broken.txt", b"a\0b"),
        )
    )
    assert [(mark.kind, mark.number, mark.name) for mark in marks if mark.kind == "part"] == [
        ("part", 1, "notes.txt"),
        ("part", 2, "prices.csv"),
        ("part", 3, "photo.png"),
        ("part", 4, "all.zip"),
        ("part", 5, "broken.txt"),
    ]
    assert "Attachment: notes.txt (application/octet-stream, 11 bytes)\n\nSome notes.\n" in text
    assert "| kind | price |" in text
    assert "Attachment: photo.png (image/png, 58 bytes)\n" in text
    assert "(it cannot be read)" in text
    assert [(each["name"], each["status"]) for each in loaded.metadata["attachments"]] == [
        ("notes.txt", "read"),
        ("prices.csv", "read"),
        ("photo.png", "listed"),
        ("all.zip", "listed"),
        ("broken.txt", "failed"),
    ]
    assert "a.eml#broken.txt is binary" in loaded.metadata["attachments"][-1]["reason"]


def test_tables_follow_the_settings_in_attachments_too():
    data = multipart(part("x"), attached("prices.csv", b"kind,price\n"))
    assert "| kind" not in load(data, tables={"formats": ["xlsx"]})[0]


def test_endings_that_the_settings_name_are_text_in_attachments_too():
    data = multipart(part("x"), attached("a.cocci", b"plums and pears"))
    assert "plums and pears" not in load(data)[0]
    assert "plums and pears" in load(data, text={"also": ["cocci"]})[0]


def test_pictures_that_the_body_shows_are_no_documents():
    shown = part(b"x", "image/png", "Content-ID: <1>\r\n")
    text, loaded, marks = load(multipart(part(PAGE, "text/html"), shown, kind="related"))
    assert "Attachment" not in text
    assert not marks
    assert loaded.metadata["attachments"][0]["status"] == "listed"


def test_messages_in_messages_are_read_to_a_depth():
    data = mail("innermost")
    for _ in range(letters.DEEPEST + 2):
        data = multipart(part("outer"), b"Content-Type: message/rfc822\r\n\r\n" + data, boundary=f"b{len(data)}")
    text, loaded, marks = load(data)
    assert text.count("outer") == letters.DEEPEST + 1
    assert "innermost" not in text
    assert len(marks) == letters.DEEPEST + 1
    assert loaded.metadata["attachments"][-1]["status"] == "listed"


def test_messages_attached_as_files_count_as_deep():
    data = mail("innermost")
    for _ in range(letters.DEEPEST + 2):
        data = multipart(part("outer"), attached("forwarded.eml", data), boundary=f"b{len(data)}")
    text, _, _ = load(data)
    assert text.count("outer") == letters.DEEPEST + 1
    assert "innermost" not in text


def test_a_digest_and_an_invitation():
    digest = multipart(*(b"Content-Type: message/rfc822\r\n\r\n" + mail(f"number {n}") for n in (1, 2)), kind="digest")
    assert "number 1" in load(digest)[0]
    assert [mark.name for mark in load(digest)[2]] == ["Plüms in May", "Plüms in May"]
    invitation = part("BEGIN:VCALENDAR\r\nSUMMARY:Plum day\r\nEND:VCALENDAR", "text/calendar; charset=utf-8")
    text, _, marks = load(multipart(part("Please come"), invitation, kind="alternative"))
    assert "Please come" in text
    assert "SUMMARY:Plum day" in text
    assert [mark.name for mark in marks] == ["invitation.ics"]


@pytest.mark.parametrize(
    "data",
    [
        multipart(
            part("Version: 1", "application/pgp-encrypted"), kind='encrypted; protocol="application/pgp-encrypted"'
        ),
        mail("AAAA", "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"),
        mail("-----BEGIN PGP MESSAGE-----\r\nhQEMA\r\n-----END PGP MESSAGE-----"),
    ],
)
def test_what_is_encrypted_is_refused_with_one_reason(data):
    with pytest.raises(ProcessingError, match=r"memory://a\.eml: the message is encrypted \((PGP|S/MIME)\)") as caught:
        load(data)
    assert "without encryption" in caught.value.hint


def test_a_signed_message_is_read():
    signature = part("MIIF", "application/pkcs7-signature; name=smime.p7s")
    text, _, marks = load(multipart(part("signed text"), signature, kind="signed"))
    assert "signed text" in text
    assert [mark.name for mark in marks] == ["smime.p7s"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (mail("plüm".encode("utf-16"), "text/plain; charset=ascii"), "plüm"),
        (mail("Größe und Straße".encode("latin-1"), "text/plain; charset=utf-8"), "Größe und Straße"),
        (mail("plum", "text/plain; charset=plum"), "plum"),
        (mail("pl\0um"), "plum"),
        (mail("--b\r\nplum", "multipart/mixed"), "plum"),
        (mail("plum", "plum"), "plum"),
        (mail("cGx1bQ==", more="Content-Transfer-Encoding: base64\r\n"), "plum"),
        (mail("pl=C3=BCm", more="Content-Transfer-Encoding: quoted-printable\r\n"), "plüm"),
        (mail("東京".encode("iso2022_jp"), "text/plain; charset=iso-2022-jp"), "東京"),
        (b"\r\nplum without a head", "plum without a head"),
        ((HEAD + "\r\nplum").encode("utf-16"), "plum"),
        ((HEAD + "\r\nplum").encode("utf-16-le"), "plum"),
    ],
)
def test_bodies_are_read_whatever_is_wrong_with_them(data, expected):
    assert expected in load(data)[0]


def test_names_of_attachments_are_one_line():
    name = "=?utf-8?q?=C3=BC=0A=0Dx?=.txt"
    assert load(multipart(part("x"), attached(name, b"y")))[2][0].name == "ü x.txt"
    coded = part(b"y", more="Content-Disposition: attachment; filename*=utf-8''%C3%BC.txt\r\n")
    assert load(multipart(part("x"), coded))[2][0].name == "ü.txt"
    assert load(multipart(part("x"), attached("../../etc/x.txt", b"y")))[2][0].name == "../../etc/x.txt"


def test_more_attachments_than_are_sensible_are_counted(monkeypatch):
    monkeypatch.setattr(letters, "MOST_PARTS", 3)
    _, loaded, marks = load(multipart(part("x"), *(attached(f"{n}.txt", b"y") for n in range(5))))
    assert (len(marks), loaded.metadata["more_attachments"]) == (3, 2)


def test_what_is_too_large_or_too_deep_is_refused(monkeypatch):
    opened = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(1000))
    with pytest.raises(ProcessingError, match="nested too deeply"):
        load((HEAD + opened + "\r\nplum").encode())
    monkeypatch.setattr(loader, "LARGEST", 100)
    with pytest.raises(ProcessingError, match="larger ones are not read"):
        load(mail("x" * 200))


def test_a_folder_is_read_message_by_message():
    data = folder(mail("first\r\n>From the start\r\n"), mail("second\r\nFrom here on\r\n"), mail(PAGE, "text/html"))
    text, loaded, marks = load(data, "a.mbox", loader.load_mbox)
    assert [(mark.number, mark.name) for mark in marks] == [(n, "Plüms in May") for n in (1, 2, 3)]
    assert "first\n\nFrom the start" not in text
    assert "first\nFrom the start" in text
    assert "second\nFrom here on" in text
    assert loaded.metadata == {"messages": 3}


def test_a_message_that_cannot_be_read_does_not_take_the_folder_with_it():
    locked = mail("AAAA", "application/pkcs7-mime; smime-type=enveloped-data")
    text, loaded, _ = load(folder(mail("first"), locked, mail("third")), "a.mbox", loader.load_mbox)
    assert "first" in text
    assert "third" in text
    assert "(message 2 cannot be read)" in text
    assert (loaded.metadata["messages"], loaded.metadata["unread_messages"]) == (3, 1)
    assert "encrypted" in loaded.metadata["first_unread"]


def test_a_message_of_a_folder_may_be_too_large(monkeypatch):
    monkeypatch.setattr(loader, "LARGEST", 1000)
    text, loaded, marks = load(folder(mail("first"), mail("x\r\n" * 2000), mail("third")), "a.mbox", loader.load_mbox)
    assert "third" in text
    assert [mark.number for mark in marks] == [1, 2, 3]
    assert loaded.metadata["unread_messages"] == 1


LINES = st.sampled_from(
    (
        *(
            "From: a@b",
            "Subject: =?utf-8?q?=FF?=",
            "Content-Type: multipart/mixed; boundary=b",
            "--b",
            "--b--",
            "",
            "x",
        ),
        *("Content-Type: text/html; charset=plum", "Content-Type: message/rfc822", "Content-Transfer-Encoding: base64"),
        *("Content-Disposition: attachment; filename*=x''%ff", "<p>plum", "AAAA", "From a b 2026", " folded", "\0é"),
        "Content-Type: multipart/alternative; boundary=b",
    )
)


@settings(max_examples=200)
@given(st.lists(LINES, max_size=25), st.sampled_from([loader.load, loader.load_mbox]))
def test_any_lines_are_a_message_or_a_processing_error(lines, how):
    try:
        text, _, _ = load("\r\n".join(lines).encode() or b" ", load=how)
    except ProcessingError:
        return
    text.encode()


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from([loader.load, loader.load_mbox]))
def test_any_bytes_are_text_or_a_processing_error(data, how):
    try:
        load(data, load=how)
    except ProcessingError:
        return
