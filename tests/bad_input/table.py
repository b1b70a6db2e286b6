"""The table: every case that is a single file."""

from __future__ import annotations

from bad_input.case import Case
from bad_input.cases import every_format, images, mails, office, packed, pages, pdfs, tables, texts, workbooks

FAMILIES = (every_format, texts, tables, workbooks, office, packed, pdfs, pages, mails, images)


def cases() -> list[Case]:
    """All cases, in the order of their families."""
    return [each for family in FAMILIES for each in family.cases()]
