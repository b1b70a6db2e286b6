"""A page that was saved as one file is read as a page."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders.mail import mhtml as loader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.loaders.mails import mail, multipart, part
from unit.fmf.processing.memory import source_of

HEAD = "From: <Saved by a browser>\r\nSubject: A saved page\r\nMIME-Version: 1.0\r\n"
PAGE = "<html lang=en><head><title>Plums =E2=82=AC5</title></head><body><h1>Plums</h1><p>caf=C3=A9</p></body></html>"
SAVED = multipart(
    part(PAGE, "text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable\r\nContent-ID: <0>\r\n"),
    part("p { color: red }", "text/css"),
    part(b"x", "image/png", "Content-Location: http://example.org/a.png\r\n"),
    kind="related",
    head=HEAD,
)


class TestExam(LoaderExam):
    words: ClassVar = {"a.mht": ["# Plums", "café"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.mht": SAVED}


def load(data: bytes):
    with source_of(data, "a.mht") as source:
        loaded = loader.load(source, ProcessingConfig())
        return "".join(loaded.pieces), loaded


def test_the_page_alone_is_text():
    text, loaded = load(SAVED)
    assert text == "# Plums\n\ncafé\n"
    assert (loaded.title, loaded.markdown, loaded.metadata) == ("Plums €5", True, {"language": "en"})


def test_without_a_page_it_is_refused(monkeypatch):
    with pytest.raises(ProcessingError, match=r"memory://a\.mht: there is no page in it"):
        load(mail("plain"))
    monkeypatch.setattr(loader, "LARGEST", 10)
    with pytest.raises(ProcessingError, match="it has more than"):
        load(SAVED)
