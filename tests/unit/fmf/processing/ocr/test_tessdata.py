"""Languages are found where they lie, and a missing one is told with those that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmf.config.processing import OcrConfig
from fmf.errors import ProcessingError
from fmf.processing.ocr import tessdata
from fmf.processing.ocr.base import engine_for
from fmf.processing.ocr.tessdata import data_of, languages


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with the languages `klingon` and `script/Runes`, which are English in truth."""
    english = languages()["eng"]
    (tmp_path / "script").mkdir()
    for name in ("klingon", "script/Runes"):
        (tmp_path / f"{name}.traineddata").symlink_to(english)
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    return tmp_path


def test_english_is_there_with_its_package():
    with data_of("eng") as folder:
        assert (folder / "eng.traineddata").stat().st_size > 1_000_000


def test_a_folder_of_ones_own_comes_first(own):
    assert tessdata.folders()[0] == own
    with data_of("klingon") as folder:
        assert folder == own
    with data_of("script/Runes") as folder:
        assert folder == own


def test_languages_of_several_folders_are_put_together(own):
    with data_of("eng+klingon") as folder:
        assert sorted(file.name for file in folder.iterdir()) == ["eng.traineddata", "klingon.traineddata"]
    assert not folder.exists()
    assert engine_for(OcrConfig(lang="eng+klingon")) is not None


def test_a_missing_language_is_told_with_the_engine_and_what_is_there(own):
    with pytest.raises(ProcessingError) as caught, data_of("eng+deu"):
        pass
    assert "the OCR engine 'tesseract' has no data for 'deu'" in caught.value.message
    assert "processing.images.ocr.lang is 'eng+deu'" in caught.value.message
    assert "installed: eng, klingon, script/Runes" in caught.value.message
    assert "TESSDATA_PREFIX" in (caught.value.hint or "")


@pytest.mark.parametrize("lang", ["../eng", "/etc/eng", "eng/../eng", "", "eng+", "e\0ng"])
def test_names_that_are_paths_are_no_languages(lang):
    with pytest.raises(ProcessingError, match="has no data for"), data_of(lang):
        pass


def test_damaged_data_are_one_clear_error(own):
    (own / "broken.traineddata").write_bytes(b"nothing")
    with pytest.raises(ProcessingError, match=r"no text can be read from a.png.*cannot use its data for 'broken' in"):
        engine_for(OcrConfig(lang="broken"), "a.png")
