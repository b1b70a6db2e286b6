from __future__ import annotations

import hashlib

import pytest

from fmf.config.models import ProcessingConfig
from fmf.errors import ConnectorError, ProcessingError
from fmf.processing import settled
from fmf.processing.pictures import Picture, PictureReader
from fmf.processing.reader import Reader
from fmf_core.errors import Code
from unit.fmf.pictures import gif, jpeg, png, webp
from unit.fmf.processing.memory import MemoryConnector


def read(data, name="a.png", *, seekable=True, **settings):
    connector = MemoryConnector({name: data}, seekable=seekable)
    return PictureReader(connector, ProcessingConfig(**settings)).read(connector.ref(name))


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("a.png", png(), "image/png"),
        ("a.jpg", jpeg(), "image/jpeg"),
        ("a.gif", gif(), "image/gif"),
        ("a.webp", webp(), "image/webp"),
        ("a.png", jpeg(), "image/jpeg"),
        ("a.txt", png(), "image/png"),
        ("scan", png(), "image/png"),
    ],
)
def test_pictures_are_known_by_their_bytes(name, data, media_type):
    picture = read(data, name)
    assert isinstance(picture, Picture)
    assert (picture.media_type, picture.data, picture.sha256) == (media_type, data, hashlib.sha256(data).hexdigest())
    document = picture.document
    assert (document.status, document.media_type, document.bytes) == ("ok", media_type, len(data))
    assert document.hash == f"sha256:{picture.sha256}"
    assert (document.title, document.text, document.text_chars, document.chunks) == (name, None, 0, 0)
    assert document.metadata["source_path"] == name
    assert {"width", "height"} <= set(document.metadata)


def test_large_ones_come_whole_from_streams_that_only_go_forward():
    data = png(padding=3_000_000)
    picture = read(data, seekable=False)
    assert isinstance(picture, Picture)
    assert picture.data == data


@pytest.mark.parametrize(
    ("name", "data", "status", "reason"),
    [
        ("a.png", b"", "skipped", "the file is empty"),
        ("a.md", b"# text", "skipped", "text/markdown is not shown to models"),
        ("a.bmp", b"BM\0\0", "skipped", "image/bmp is not shown"),
        ("a.tif", b"II*\0", "skipped", "image/tiff is not shown"),
        ("a.svg", b"<svg/>", "skipped", "image/svg+xml is not shown"),
        ("a.pdf", b"%PDF-1.7", "skipped", "application/pdf is not shown"),
        ("a.xyz", b"what", "skipped", ".xyz are not known"),
        ("a.png", b"no picture", "failed", "its bytes are of no kind of picture that is known"),
        ("a.png", b"\x89PN", "failed", "its bytes are of no kind"),
        ("a.jpg", b"%PDF-1.7", "failed", "its bytes are those of application/pdf"),
        ("a.png", png()[:20], "failed", "it ends inside its header"),
        ("notes.txt", png()[:20], "failed", "it ends inside its header"),
        ("a.png", png()[:-20], "failed", "it is cut off"),
    ],
)
def test_each_other_state_says_why(name, data, status, reason):
    document = read(data, name)
    assert (document.status, document.text) == (status, None)
    assert reason in document.reason
    assert (document.error is not None) == (status == "failed")
    assert document.bytes == len(data)


def test_the_limits_are_those_of_all_files(monkeypatch):
    document = read(png(padding=2000), limits={"max_file_mb": 0.001})
    assert document.status == "failed"
    assert "processing.limits.max_file_mb" in document.error.hint
    ticks = iter(range(0, 1000, 60))
    monkeypatch.setattr(settled.time, "monotonic", lambda: float(next(ticks)))
    assert read(png(), limits={"max_seconds_per_file": 50}).error.code is Code.TIMEOUT


@pytest.mark.parametrize("error", [ConnectorError("gone", op="connectors.open"), ZeroDivisionError("gone")])
def test_what_cannot_be_opened_fails_alone(error):
    class Closed(MemoryConnector):
        def open(self, ref):
            raise error

    connector = Closed({"a.png": png()})
    document = PictureReader(connector, ProcessingConfig()).read(connector.ref("a.png"))
    assert document.status == "failed"
    assert "gone" in document.reason
    assert isinstance(document.error, ConnectorError | ProcessingError)


def test_the_document_has_the_id_that_reading_text_gives_it():
    data = b"%PDF-1.7"
    connector = MemoryConnector({"a.txt": data})
    texts = list(Reader(connector, ProcessingConfig()).read(connector.ref("a.txt")))
    assert read(data, "a.txt").doc_id == texts[-1].doc_id
    assert read(png(), metadata={"include_hash": None}).document.hash is None
