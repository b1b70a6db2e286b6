"""Pages, mail and old encodings, from outside: what is kept, and what is never text."""

from __future__ import annotations

import base64
import gzip

import pytest

from acceptance.outside import Project, Said, fmf_yaml

PAGE = """<!DOCTYPE html><html lang="en"><head><title>Brakes</title><style>p { color: red }</style>
<script>var tracked = "scripted";</script></head><body><h1>Brakes</h1><p>They <b>squeal</b>, caf&eacute; &#8364;5.</p>
<ul><li>pads<ul><li>inner</li></ul></li></ul><table><tr><th>part</th><th>state</th></tr>
<tr><td>pad</td><td>worn | old</td></tr></table><pre><code>stop()</code></pre>
<img src="data:image/png;base64,iVBORw0KGgo=" alt="a worn pad"><noscript>switch on</noscript>
<div style="display:none">hidden words</div></body></html>"""
MAIL = (
    "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    "MIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n'
    "<p>See the <i>list</i>.</p>\r\n--b\r\nContent-Type: text/csv\r\n"
    'Content-Disposition: attachment; filename="parts.csv"\r\n'
    "Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"part,state\npad,worn\n").decode()
    + "\r\n--b--\r\n"
)
NOTES = "# Notes\n\n1. one\n   - inner\n\n```sh\nmake   stop\n\n\n\ndone\n```\n\n| a |\n| --- |\n| b |\n"
OLD = {
    "koi8.txt": ("Тормоза скрипят под дождём, и клиент просит заменить все детали. " * 3, "koi8_r"),
    "sjis.txt": ("雨の日にブレーキが鳴る。お客様は部品の交換を希望しています。" * 3, "cp932"),
    "euc.txt": ("雨の日にブレーキが鳴る。お客様は部品の交換を希望しています。" * 3, "euc_jp"),
    "gb.txt": ("制动系统在雨天发出尖锐的声音，客户要求更换所有部件。" * 3, "gb18030"),
    "wide.txt": ("Тормоза скрипят под дождём. ", "utf-16-le"),
    "cp1252.html": ("<meta charset=windows-1252><p>Die Größe — „gut“ – kostet 5 €.", "cp1252"),
    "dos.txt": ("Die Größe der Bremsbeläge wurde überprüft, für alle Räder. ", "cp850"),
}
BROKEN = {
    "damaged.txt": "Bremsbeläge und Räder. ".encode() * 20 + b"\xff\xfe\xfa",
    "binary.txt": bytes(range(256)) * 9,
}


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """`fmf process` over a page, mail, notes and text in old encodings."""
    project = Project(tmp_path_factory.mktemp("formats"))
    project.write({"fmf.yaml": fmf_yaml(), "data/page.html": PAGE, "data/mail.eml": MAIL, "data/notes.md": NOTES})
    project.write({f"data/{name}": text.encode(encoding) for name, (text, encoding) in OLD.items()})
    project.write({f"data/{name}": data for name, data in BROKEN.items()})
    project.write({"data/notes.log.1.gz": gzip.compress(b"one line of a log\n")})
    return project.fmf("process", "--connector", "docs")


def text_of(told: Said, name: str) -> str:
    """The text of one file."""
    [doc] = [doc for doc in told.run.docs if doc["source_uri"].endswith(f"/{name}")]
    assert doc["status"] == "ok", doc["reason"]
    return str(doc["text"])


@pytest.mark.behaviour(16)
def test_the_form_of_markdown_survives_under_default_settings(formats):
    """Behaviour 16: headings, lists, tables and the white space of code stand in docs.jsonl as they were written."""
    assert text_of(formats, "notes.md") == NOTES


@pytest.mark.behaviour(20)
def test_a_page_keeps_tables_and_alternative_text_and_no_scripts(formats):
    """Behaviour 20: no text of scripts, styles or hidden elements; tables, code and alternative text are kept."""
    text = text_of(formats, "page.html")
    for held in ("# Brakes", "They **squeal**, café €5.", "- pads\n  - inner", "| part | state |", "worn \\| old"):
        assert held in text
    assert "```\nstop()\n```" in text
    assert "a worn pad" in text
    for out in ("tracked", "color", "switch on", "hidden words", "base64", "<"):
        assert out not in text


@pytest.mark.behaviour(20)
def test_the_page_in_a_mail_and_what_is_attached_to_it_are_text(formats):
    """Behaviour 20, in mail: headers, the page as Markdown, an attached table as a table."""
    text = text_of(formats, "mail.eml")
    assert text.startswith("From: Ann <ann@example.org>\nTo: bob@example.org\nSubject: Grüße\n")
    assert "See the *list*." in text
    assert "| part | state |" in text


@pytest.mark.behaviour(21)
@pytest.mark.parametrize("name", OLD)
def test_text_in_an_old_encoding_is_decoded(formats, name):
    """Behaviour 21: older encodings are read for what they are."""
    assert text_of(formats, name).strip() == OLD[name][0].rpartition(">")[2].strip()


@pytest.mark.behaviour(21)
def test_what_cannot_be_decoded_is_an_error_of_its_own_and_never_replaced(formats):
    """Behaviour 21: a per-file error that says where; no replacement character in any artefact."""
    formats.refused(10)
    assert {error["source_uri"].rpartition("/")[2] for error in formats.run.errors} == set(BROKEN)
    for error in formats.run.errors:
        assert "byte" in error["message"]
        assert error["hint"]
    for name in ("docs.jsonl", "chunks.jsonl"):
        assert "\ufffd" not in (formats.run.path / name).read_text(encoding="utf-8")


def test_one_packed_log_is_unpacked(formats):
    """A log that was turned over and packed is read under the name that it had."""
    assert text_of(formats, "notes.log.1.gz") == "one line of a log\n"
