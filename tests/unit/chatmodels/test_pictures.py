from __future__ import annotations

import pytest

from chatmodels.pictures import check_address, type_of


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n rest", "image/png"),
        (b"\xff\xd8\xff\xdb", "image/jpeg"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"II*\x00", "image/tiff"),
        (b"BM..", "image/bmp"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
    ],
)
def test_the_first_bytes_tell_the_type(data: bytes, kind: str) -> None:
    assert type_of(data) == kind


@pytest.mark.parametrize("data", [b"RIFF\x00\x00\x00\x00WAVE", b"\x00\x00\x00\x1cftypmp42", b"", b"\xff\xd8"])
def test_bytes_that_tell_nothing_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="media_type"):
        type_of(data)


def test_addresses() -> None:
    for url in ("http://a/b", "https://a/b", "data:image/png;base64,AA", "HTTP://a"):
        check_address(url)
    with pytest.raises(ValueError, match="'pictures'") as caught:
        check_address("pictures/private.jpg")
    assert "private" not in str(caught.value)
