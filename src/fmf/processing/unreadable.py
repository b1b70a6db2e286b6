"""How a loader says that a file cannot be read."""

from __future__ import annotations

from typing import Final

from fmf.errors import ProcessingError
from fmf.processing.source import Source
from fmf.types import ResourceRef
from fmf_core.errors import Code

_LONGEST: Final = 300


def unreadable(source: Source, kind: str, why: str, *, hint: str = "", code: Code = Code.INVALID) -> ProcessingError:
    """The error for `source`, to be raised.

    Args:
        source: the file.
        kind: what it was read as, such as `docx`; part of the error's `op`.
        why: what is wrong, for a person; long texts are cut.
        hint: what to do next; left out, it is what helps with a damaged file.
        code: the kind of failure.
    """
    why = why if len(why) <= _LONGEST else f"{why[:_LONGEST]}..."
    return ProcessingError(
        f"{source.ref.uri}: {why}",
        op=f"processing.{kind}",
        code=code,
        hint=hint or "look whether it opens in the program that made it, save it again there, or exclude the file",
    )


def damaged(source: Source, kind: str, error: BaseException) -> ProcessingError:
    """The error for a file that is not whole, with what its reader said of it."""
    said = " ".join(str(error).split()) or type(error).__name__
    return unreadable(source, kind, f"it is damaged or not {_a(kind)} file: {said}")


def encrypted(source: Source, kind: str) -> ProcessingError:
    """The error for a file that only opens with a password."""
    return unreadable(
        source,
        kind,
        "it is encrypted, and passwords are not asked for",
        hint="save it without a password and run again, or exclude the file",
        code=Code.UNSUPPORTED,
    )


def too_many_pages(source: Source, kind: str, pages: int, limit: int) -> ProcessingError:
    """The error for a file with more than `limit` pages, which is `processing.limits.max_pages`."""
    return ProcessingError(
        f"{source.ref.uri} has {pages:,} pages, and {limit:,} are allowed",
        op=f"processing.{kind}",
        code=Code.INVALID,
        hint="raise processing.limits.max_pages in fmf.yaml, or exclude the file",
    )


def no_picture(ref: ResourceRef, kind: str, why: str) -> ProcessingError:
    """The error for a file that should be a picture, and is damaged or none."""
    return ProcessingError(
        f"{ref.uri} cannot be read as a picture: {why}",
        op=f"processing.{kind}",
        code=Code.INVALID,
        hint="look whether it was damaged, or exclude it",
    )


def _a(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeioux' else 'a'} {kind}"
