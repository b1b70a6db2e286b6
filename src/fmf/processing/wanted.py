"""Whether a file is read, by its kind and the settings: one rule for files of their own and for those in others."""

from __future__ import annotations

from typing import Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.decode import looks_binary
from fmf.processing.kinds.detect import GZIP, TEXT, Kind, ending
from fmf.processing.tables import TableReader, table_readers

EMPTY: Final = "the file is empty"
_TABLES: Final = frozenset({"csv", "xlsx", "parquet"})
_PACKED: Final = ".gz"
_PACKED_MAGIC: Final = b"\x1f\x8b"
_ARCHIVES: Final = (
    ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar", ".zip", ".7z", ".rar", ".jar", ".cab",
)  # fmt: skip
_FSSPEC: Final = ", or read it with a connector of type fsspec: "
_ENTERED: Final = {
    ".zip": f"{_FSSPEC}'zip://::file:///FOLDER/FILE.zip'",
    **dict.fromkeys((".tar.gz", ".tgz", ".tar"), f"{_FSSPEC}'tar://::file:///FOLDER/FILE.tar'"),
}


class Skipped(Exception):  # noqa: N818 - a decision, not an error
    """The file is left out by a rule; says which."""


def wanted(found: Kind | None, name: str, head: bytes, settings: ProcessingConfig) -> Kind:
    """The kind as which a file is to be read; one that is not known may be named in `processing.text.also`.

    Args:
        found: what the file was found to be.
        name: its name.
        head: its first bytes.
        settings: the section `processing`.

    Raises:
        Skipped: nothing is known of it, or the settings leave such files out.
    """
    kind = found or _named_as_text(name, head, settings)
    if kind is None:
        raise Skipped(unknown(name, head))
    if kind.family == "image" and not settings.images.ocr.enabled:
        raise Skipped("it is a picture, and processing.images.ocr.enabled is off")
    if kind.name in _TABLES and kind.name not in settings.tables.formats:
        raise Skipped(f"{kind.name} is not among processing.tables.formats")
    return kind


def table_reader(kind: str) -> TableReader:
    """The reader of the rows of a kind of file.

    Raises:
        Skipped: files of that kind have no rows.
    """
    if kind not in table_readers:
        raise Skipped(f"{kind} files have no rows: inputs.mode table_rows reads {', '.join(table_readers.names())}")
    return table_readers.get(kind)


def unknown(name: str, head: bytes) -> str:
    """Why nothing is known of a file of that name which begins with `head`."""
    if archive := next((each for each in _ARCHIVES if name.lower().endswith(each)), ""):
        return f"{archive} archives are not entered: unpack it{_ENTERED.get(archive, '')}"
    if ending(name) == "gz" and not ending(name[: -len(_PACKED)]):
        return "its name without .gz has no ending, and its bytes are binary"
    if claims := ending(name):
        packed = ending(name[: -len(_PACKED)]) if claims == "gz" else ""
        known = f"files with the ending .{f'{packed}.gz' if packed else claims} are not known"
        return known if looks_binary(head) else f"{known}; if they are text, name it in processing.text.also"
    return "its name has no ending, and its bytes are binary" if looks_binary(head) else "its kind is not known"


def _named_as_text(name: str, head: bytes, settings: ProcessingConfig) -> Kind | None:
    name = name.lower()
    endings = tuple("." + each.lower().lstrip(".") for each in settings.text.also)
    if name.endswith(endings):
        return TEXT
    packed = name.endswith(_PACKED) and head.startswith(_PACKED_MAGIC)
    return GZIP if packed and name.removesuffix(_PACKED).endswith(endings) else None
