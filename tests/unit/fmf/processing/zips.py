"""Zip files for tests, made by hand: with any members, and with what a zip should not have."""

from __future__ import annotations

import io
import zipfile


def zipped(members: dict[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def rezipped(data: bytes, changed: dict[str, str | bytes]) -> bytes:
    """The same zip file with other, or further, members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped({**members, **changed})
