"""Run ids: sortable by time, unique across processes and machines."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

_FORM = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{6}")


def new_run_id(now: datetime | None = None) -> str:
    """A fresh id such as `20261121T094500123Z-1f9c2a`: UTC to the millisecond, then six random hexadecimal digits.

    Args:
        now: the start of the run; the present when it is left out.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


def is_run_id(name: str) -> bool:
    """Whether `name` has the form of a run id; folders of other names are never touched."""
    return _FORM.fullmatch(name) is not None


def timestamp(moment: datetime | None = None) -> str:
    """ISO 8601 in UTC to the millisecond, as every record writes it: `2026-11-21T09:45:00.123Z`.

    Args:
        moment: the present when it is left out.
    """
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
