"""The pictures of one image file, one at a time: within the limits, upright, without transparency."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from fmf.errors import ProcessingError
from fmf.processing.source import Source
from fmf.processing.unreadable import no_picture
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.forks import Lock

FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_PAGED: Final = "TIFF"
_DEEP: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_ALPHA: Final = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})

# Filters of warnings belong to the process.
_warnings_are_ours = Lock()


@dataclass(frozen=True, slots=True)
class Frames:
    """An open image file."""

    format: str
    width: int
    """Pixels, of the first picture."""
    height: int
    count: int
    """Pictures that are read: the pages of a TIFF, of any other file one."""
    pictures: Iterator[Image.Image]
    """The pictures, in order; raises `ProcessingError` for one that is damaged."""


@contextmanager
def opened(source: Source, *, max_pixels: int) -> Iterator[Frames]:
    """The pictures of a file, which is known by its bytes.

    Of a GIF or WebP that moves there is the first picture, of a TIFF every page.

    Raises:
        ProcessingError: it is none that is known here, or one has more than `max_pixels` pixels.
    """
    image = _open(source, max_pixels)
    with image:
        count = _count(source.ref, image)
        pictures = _pictures(source.ref, image, count, max_pixels)
        yield Frames(str(image.format), image.width, image.height, count, pictures)


def _open(source: Source, max_pixels: int) -> Image.Image:
    source.stream.seek(0)
    try:
        with _warned():
            return Image.open(source.stream, formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _refused(source.ref, "more pixels than are ever read", max_pixels) from error
    except UnidentifiedImageError as error:
        raise no_picture(source.ref, "image", "its bytes are of no kind of picture that is known") from error
    except Exception as error:
        raise no_picture(source.ref, "image", _why(error)) from error


def _count(ref: ResourceRef, image: Image.Image) -> int:
    try:
        with _warned():
            return int(getattr(image, "n_frames", 1)) if image.format == _PAGED else 1
    except Exception as error:
        raise no_picture(ref, "image", f"its list of pages is damaged: {error}") from error


@contextmanager
def _warned() -> Iterator[None]:
    """What Pillow only warns of: too many pixels and a list of pages that breaks off are errors."""
    with _warnings_are_ours(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("error", "Corrupt EXIF data")
        yield


def _pictures(ref: ResourceRef, image: Image.Image, count: int, max_pixels: int) -> Iterator[Image.Image]:
    for index in range(count):
        try:
            with _warned():
                image.seek(index)
            _refuse_large(ref, image, max_pixels)
            picture = _plain(image)
        except ProcessingError:
            raise
        except Exception as error:
            where = f"page {index + 1} of {count}: " if count > 1 else ""
            raise no_picture(ref, "image", where + _why(error)) from error
        yield picture


def _refuse_large(ref: ResourceRef, image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise _refused(ref, f"{image.width:,} x {image.height:,} pixels", max_pixels)


def _plain(image: Image.Image) -> Image.Image:
    """The picture as a reader sees it on white paper, in mode `L` or `RGB`."""
    if image.mode in _DEEP:
        return ImageOps.exif_transpose(_shallow(image))
    if image.mode in {"1", "L", "RGB"} and "transparency" not in image.info:
        plain = image.convert("L") if image.mode == "1" else image.copy()
    elif image.mode in _ALPHA or "transparency" in image.info:
        layers = image.convert("RGBA")
        plain = Image.new("RGB", layers.size, "white")
        plain.paste(layers, mask=layers.getchannel("A"))
    else:
        plain = image.convert("RGB")
    if "exif" in image.info:
        plain.info["exif"] = image.info["exif"]
    return ImageOps.exif_transpose(plain)


def _shallow(image: Image.Image) -> Image.Image:
    """A picture with more than 256 shades, spread from its darkest to its lightest."""
    wide = image.convert("F")
    darkest, lightest = (float(value) for value in wide.getextrema())  # type: ignore[arg-type]  # of one band
    scale = 255 / (lightest - darkest) if lightest > darkest else 0
    return wide.point(lambda value: value * scale - darkest * scale).convert("L")


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _refused(ref: ResourceRef, what: str, max_pixels: int) -> ProcessingError:
    return ProcessingError(
        f"{ref.uri} has {what}, and {max_pixels:,} are allowed",
        op="processing.image",
        code=Code.INVALID,
        hint="make it smaller, raise processing.limits.max_memory_mb in fmf.yaml, or exclude it",
    )
