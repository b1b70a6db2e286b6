"""Engines by name: made once in a thread, replaced by plugins, and one clear error where one is missing."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from PIL import Image

from fmf.config.processing import OcrConfig
from fmf.errors import ProcessingError
from fmf.processing.ocr.base import OcrResult, engine_for, engines, read_picture
from fmf_core.errors import Code, PluginRegistrationError

WHITE = Image.new("L", (10, 10), 255)
OWN = OcrConfig(enabled=True, engine="own", lang="xyz")


class Own:
    """An engine of somebody else."""

    def __init__(self, settings: OcrConfig) -> None:
        self.lang = settings.lang

    def read(self, image: Image.Image) -> OcrResult:
        return OcrResult(f"{image.width} in {self.lang}", 50.0)


@pytest.fixture(autouse=True)
def _own():
    engines.add("own", Own)
    yield
    engines.remove("own")


def test_an_engine_is_found_by_its_name_and_given_the_settings():
    assert read_picture(OWN, WHITE, "a.png") == OcrResult("10 in xyz", 50.0, 0, None)


def test_an_engine_is_made_once_in_a_thread():
    first = engine_for(OWN)
    assert engine_for(OWN) is first
    assert engine_for(OwnIn("abc")) is not first
    others = []
    thread = threading.Thread(target=lambda: others.append(engine_for(OWN)))
    thread.start()
    thread.join()
    assert others[0] is not first


def OwnIn(lang: str) -> OcrConfig:  # noqa: N802 - reads as the settings that it makes
    return OWN.model_copy(update={"lang": lang})


def test_an_engine_that_took_the_place_of_another_is_used():
    class Better(Own):
        pass

    assert type(engine_for(OWN)) is Own
    engines.add("own", Better, replace=True)
    assert type(engine_for(OWN)) is Better


def test_an_unknown_engine_lists_those_that_are_known():
    with pytest.raises(
        ProcessingError, match=r"no text can be read from a.png: unknown OCR engine 'tesserct'"
    ) as caught:
        read_picture(OcrConfig(engine="tesserct"), WHITE, "a.png")
    assert "tesseract" in (caught.value.hint or "")


def test_what_cannot_be_called_is_no_engine():
    with pytest.raises(PluginRegistrationError, match="cannot be called"):
        engines.add("odd", "tesseract")  # type: ignore[arg-type]


def test_a_failing_engine_fails_that_picture_alone():
    class Failing(Own):
        def read(self, image):
            raise ZeroDivisionError("no ink")

    engines.add("own", Failing, replace=True)
    with pytest.raises(ProcessingError, match=r"'own' failed over a\.png: ZeroDivisionError: no ink") as caught:
        read_picture(OWN, WHITE, "a.png")
    assert caught.value.code is Code.INTERNAL


MISSING = """
import sys
sys.modules["tesserocr"] = None
from fmf.config.processing import OcrConfig
from fmf.processing.ocr.base import engine_for
try:
    engine_for(OcrConfig(), "memory://a.png")
except Exception as error:
    print(type(error).__name__, error.code.value, error.message, error.hint, sep="|")
"""


def test_without_tesserocr_the_error_names_tesseract_and_the_extra():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True)
    name, code, message, hint = done.stdout.strip().split("|")
    assert (name, code) == ("ProcessingError", Code.UNSUPPORTED.value)
    assert message.startswith("no text can be read from memory://a.png: OCR engine 'tesseract' needs 'tesserocr'")
    assert "[ocr]" in hint
