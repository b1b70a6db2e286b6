"""Pictures by their first bytes, and the addresses that they can have."""

from __future__ import annotations

from typing import Final

UNTOLD: Final = "image/png"
"""What the type of a picture counts as where it does not matter: beside an address."""
_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_BRANDS: Final = {b"avif": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif"}
_SCHEMES: Final = ("http://", "https://", "data:")


def type_of(data: bytes) -> str:
    """The media type of a picture, told by its first bytes.

    Raises:
        ValueError: they tell nothing, so that it may be no picture at all.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return _BRANDS[data[8:12]]
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    raise ValueError("the bytes are no picture of a known type; if they are one, give its media_type as well")


def check_address(url: str) -> None:
    """Make sure that somebody else can find a picture at `url`.

    Raises:
        ValueError: it is no address of the web and no `data:` URL; the message tells no more of it than its beginning.
    """
    if not url[:8].lower().startswith(_SCHEMES):
        raise ValueError(
            f"the url of a picture begins with http://, https:// or data:, and this one with {url[:8]!r}; of a file, "
            "give the bytes: ImagePart(data=Path(...).read_bytes())"
        )
