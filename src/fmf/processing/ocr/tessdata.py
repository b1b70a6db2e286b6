"""Where the language data of Tesseract lie, and which languages there are."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from fmf.errors import ProcessingError
from fmf_core.errors import Code
from fmf_core.nearest import known_hint

SUFFIX: Final = ".traineddata"
ORIENTATION: Final = "osd"
"""Data that tell how a page is turned, not a language."""
_PREFIX: Final = "TESSDATA_PREFIX"
_CODE: Final = re.compile(r"[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)?")
_SYSTEM: Final = ("/usr/share/tesseract-ocr/*/tessdata", "/usr/share/tessdata", "/usr/local/share/tessdata")


def folders() -> list[Path]:
    """The folders with data, the ones that win first: `TESSDATA_PREFIX`, installed packages, the system's own."""
    found: list[Path] = []
    if given := os.environ.get(_PREFIX):
        found += [Path(given), Path(given) / "tessdata"]
    found += [Path(sys.prefix) / "share" / "tessdata", *_of_packages()]
    for pattern in _SYSTEM:
        found += sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def languages() -> dict[str, Path]:
    """Every language that is installed, with the file of its data."""
    found: dict[str, Path] = {}
    for folder in folders():
        for file in sorted(folder.rglob(f"*{SUFFIX}")):
            found.setdefault(file.relative_to(folder).as_posix().removesuffix(SUFFIX), file)
    return found


@contextmanager
def data_of(lang: str) -> Iterator[Path]:
    """A folder with the data of all languages in `lang`, which is spelled as in `eng` or `deu+eng`.

    Raises:
        ProcessingError: there are none for one of them; says which there are.
    """
    codes = [code.removeprefix("~") for code in lang.split("+")]
    installed = languages()
    if missing := [code for code in codes if code not in installed or not _CODE.fullmatch(code)]:
        raise _missing(lang, missing, sorted(installed))
    homes = {_home(installed[code], code) for code in codes}
    if len(homes) == 1:
        yield homes.pop()
        return
    with tempfile.TemporaryDirectory(prefix="fmf-tessdata-") as together:
        for code in codes:
            link = Path(together) / f"{code}{SUFFIX}"
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(installed[code].resolve())
        yield Path(together)


def _home(file: Path, code: str) -> Path:
    """The folder from which the name of the data is counted."""
    return file.parents[code.count("/")]


def _of_packages() -> Iterator[Path]:
    """Folders into which packages called tessdata... have put data."""
    for package in distributions():
        if (package.name or "").lower().startswith("tessdata"):
            for file in package.files or ():
                if file.name.endswith(SUFFIX):
                    yield Path(str(package.locate_file(file))).resolve().parent


def _missing(lang: str, missing: list[str], installed: list[str]) -> ProcessingError:
    known = [code for code in installed if code != ORIENTATION]
    have = ", ".join(known) or "none"
    return ProcessingError(
        f"the OCR engine 'tesseract' has no data for {', '.join(map(repr, missing))}"
        f" (processing.images.ocr.lang is {lang!r}); installed: {have}",
        op="processing.ocr",
        code=Code.NOT_FOUND,
        hint=f"put NAME{SUFFIX} into a folder and name that in {_PREFIX}, or install a tessdata package; "
        + known_hint(missing[0], known),
    )
