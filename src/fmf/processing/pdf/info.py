"""What a PDF says of itself: title, author, dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

_DATE: Final = re.compile(
    r"\A(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:(Z)|([+-])(\d\d)'?(\d\d)?)?", re.ASCII
)
_LONGEST: Final = 300
_NO_TITLE: Final = frozenset({"untitled", "(untitled)", "untitled document", "unknown", "none"})
_BLANKS: Final = re.compile(r"[\s\0-\x1f]+")


def title_of(info: Mapping[str, str]) -> str | None:
    """The title, where it is one."""
    title = _clean(info.get("Title", ""))
    return title if title and title.lower() not in _NO_TITLE else None


def facts_of(info: Mapping[str, str]) -> dict[str, Any]:
    """Author, subject, keywords and dates, as far as they are given; dates as ISO 8601."""
    found: dict[str, Any] = {}
    for name in ("Author", "Subject", "Keywords"):
        if value := _clean(info.get(name, "")):
            found[name.lower()] = value
    for key, name in (("created", "CreationDate"), ("modified", "ModDate")):
        if when := iso_date(info.get(name, "")):
            found[key] = when
    return found


def iso_date(text: str) -> str | None:
    """A date of a PDF, as in `D:20240215103000+01'00'`, in the form of ISO 8601; `None` where it is none."""
    found = _DATE.match(text.strip())
    if not found:
        return None
    year, *rest = found.groups()[:6]
    month, day, hour, minute, second = (
        int(part) if part else default for part, default in zip(rest, (1, 1, 0, 0, 0), strict=True)
    )
    zone: timezone | None = None
    if found[7]:
        zone = UTC
    elif found[8]:
        offset = timedelta(hours=int(found[9]), minutes=int(found[10] or 0))
        zone = timezone(offset if found[8] == "+" else -offset) if offset < timedelta(hours=24) else None
    try:
        return datetime(int(year), month, day, hour, minute, second, tzinfo=zone).isoformat()
    except ValueError:
        return None


def _clean(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()[:_LONGEST]
