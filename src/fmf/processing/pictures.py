"""From a resource to a picture that a model can be shown: opened, recognised by its bytes, its header checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fmf.config.processing import ProcessingConfig
from fmf.processing.images.header import KNOWN, HeaderError, size_of
from fmf.processing.kinds.detect import KINDS, by_magic, ending
from fmf.processing.loaders.base import kind_of
from fmf.processing.settled import Clock, begun, given_up, identity
from fmf.processing.source import MEGABYTE, Opener, Source, fetch
from fmf.processing.unreadable import no_picture
from fmf.processing.wanted import EMPTY, Skipped, unknown
from fmf.types import Document, ResourceRef


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its bytes, and the document that tells of it."""

    document: Document
    """In its final state, which is ok; without text."""
    media_type: str
    sha256: str
    """The hash of the bytes, as hexadecimal digits."""
    data: bytes = field(repr=False)


class PictureReader:
    """Reads resources of one connector as pictures; every method blocks.

    PNG, JPEG, GIF and WebP are pictures, by their first bytes and whatever their names are. Anything else is skipped,
    by rule and without an error: an empty file, a text, a picture of another kind. A file whose name or bytes say that
    it is one of the four, and which is too large or has a header that cannot be read, failed.

    Args:
        connector: opens the resources.
        processing: the section `processing` of the configuration, for its limits and what is noted of a document.
    """

    def __init__(self, connector: Opener, processing: ProcessingConfig) -> None:
        self._connector = connector
        self._settings = processing

    def read(self, ref: ResourceRef) -> Picture | Document:
        """The picture, or the document in its final state when it is none that can be shown.

        Nothing is raised for a bad file: its document says why in `reason`, and carries the error if it failed.
        """
        document = begun(ref, self._settings)
        try:
            for step in Clock(self._settings.limits.max_seconds_per_file, ref).timed(self._opened(ref, document)):
                if isinstance(step, Picture):
                    return step
                document = step
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the others, whatever is wrong with it
            return given_up(document, error)
        return document

    def _opened(self, ref: ResourceRef, document: Document) -> Iterator[Document | Picture]:
        """The document as more and more is known of it, then the picture."""
        with fetch(self._connector, ref, max_bytes=self._settings.limits.max_file_mb * MEGABYTE) as source:
            document = replace(document, **identity(source, self._settings))
            if kind := by_magic(source.head) or kind_of(ref.name, source.head):
                document = replace(document, media_type=kind.media_type)
            yield document
            media_type = _recognised(source)
            data = source.head if len(source.head) == source.size else b"".join(source.blocks())
        try:
            size = size_of(media_type, data)
        except HeaderError as error:
            raise no_picture(ref, "picture", str(error)) from error
        metadata = {**document.metadata, "width": size.width, "height": size.height}
        document = replace(document, status="ok", metadata=metadata)
        yield Picture(document, media_type, source.sha256, data)


def _recognised(source: Source) -> str:
    """The media type of a picture that models take; raises what is to become of anything else."""
    name = source.ref.name
    if not source.size:
        raise Skipped(EMPTY)
    found = by_magic(source.head)
    if found and found.media_type in KNOWN:
        return found.media_type
    claimed = KINDS.get(ending(name))
    if claimed and claimed.media_type in KNOWN:
        kinds = f"those of {found.media_type}" if found else "of no kind of picture that is known"
        raise no_picture(source.ref, "picture", f"its bytes are {kinds}")
    if kind := found or kind_of(name, source.head):
        raise Skipped(f"{kind.media_type} is not shown to models; PNG, JPEG, GIF and WebP pictures are")
    raise Skipped(unknown(name, source.head))
