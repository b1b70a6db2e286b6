"""What an engine that reads text from pictures is, what it gives back, and the table of engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fmf.config.processing import OcrConfig
from fmf.errors import ConfigError, ProcessingError
from fmf_core.errors import Code, FrameworkError, PluginError, PluginRegistrationError
from fmf_core.nearest import known_hint
from fmf_core.registry import Entry, Registry

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class OcrResult:
    """What was read from one picture."""

    text: str
    """The text; empty where none was found."""
    confidence: float | None = None
    """How sure the engine is of it, from 0 to 100; `None` where it does not say, or nothing was found."""
    rotation: int = 0
    """Degrees, clockwise, by which the picture was turned before it was read: 0, 90, 180 or 270."""
    language: str | None = None
    """The language that it was read as, in the engine's own spelling."""


class OcrEngine(Protocol):
    """Reads text from pictures; one object reads many of them, one after the other, always in the same thread."""

    def read(self, image: Image) -> OcrResult | str:
        """The text of a picture, alone or with what else is known of it.

        Args:
            image: the picture, upright as its file says, without transparency: mode `L` or `RGB`.

        Raises:
            ProcessingError: it cannot be read.
        """
        ...


OcrFactory = Callable[[OcrConfig], OcrEngine]
"""Makes an engine from the section `processing.images.ocr`; a class whose constructor takes it is one."""


def _check(name: str, item: Any) -> None:
    if not callable(item):
        raise PluginRegistrationError(
            f"OCR engine {name!r} is {item!r}, which cannot be called",
            op="ocr.add",
            hint="register a class, or a function make(settings) -> OcrEngine",
        )


engines: Registry[OcrFactory] = Registry(
    "OCR engine",
    {"tesseract": Entry("fmf.processing.ocr.tesseract:TesseractEngine", "ocr")},
    group="fmf.ocr",
    check=_check,
)
"""Makers of engines by the name that stands in `processing.images.ocr.engine`."""


class _Made(threading.local):
    """The engines of this thread, with the factory that made each."""

    def __init__(self) -> None:
        self.engines: dict[tuple[str, str], tuple[OcrFactory, OcrEngine]] = {}


_made = _Made()


def check_engine(settings: OcrConfig) -> None:
    """Refuse the name of an engine that does not exist, before anything is read.

    Raises:
        ConfigError: there is no such engine.
    """
    if settings.enabled and settings.engine not in engines:
        raise ConfigError(
            f"there is no OCR engine {settings.engine!r}",
            op="processing.ocr",
            hint=known_hint(settings.engine, engines.names(), what="set processing.images.ocr.engine to one of"),
        )


def engine_for(settings: OcrConfig, uri: str = "pictures") -> OcrEngine:
    """The engine that the settings name: made once in every thread that asks, and used again.

    Args:
        settings: the section `processing.images.ocr`.
        uri: what is to be read, for messages.

    Raises:
        ProcessingError: there is no such engine, its packages are missing, or it has no data for the language.
    """
    key = settings.engine, settings.lang
    try:
        factory = engines.get(settings.engine)
        known = _made.engines.get(key)
        if known is None or known[0] is not factory:
            known = _made.engines[key] = factory, factory(settings)
    except (PluginError, ProcessingError) as error:
        raise ProcessingError(
            f"no text can be read from {uri}: {error.message}",
            op="processing.ocr",
            code=error.code,
            hint=error.hint,
            fields=error.fields,
        ) from error
    return known[1]


def read_picture(settings: OcrConfig, image: Image, uri: str) -> OcrResult:
    """What the engine of the settings reads from one picture.

    Args:
        settings: the section `processing.images.ocr`.
        image: the picture.
        uri: where it is from, for messages.

    Raises:
        ProcessingError: there is no such engine, or it cannot read the picture.
    """
    engine = engine_for(settings, uri)
    try:
        result = engine.read(image)
    except FrameworkError:
        raise
    except Exception as error:
        raise ProcessingError(
            f"the OCR engine {settings.engine!r} failed over {uri}: {type(error).__name__}: {error}",
            op="processing.ocr",
            code=Code.INTERNAL,
            hint="look at the picture, or choose another processing.images.ocr.engine",
        ) from error
    return OcrResult(result) if isinstance(result, str) else result
