"""Where a unit ends."""

from __future__ import annotations

import pytest

from fmf.processing.cutting.units import unit_end
from fmf.processing.fences import Fences


def end_of(strategy: str, text: str, start: int = 0, *, markdown: bool = True) -> int | None:
    fences = Fences(text) if markdown else Fences()
    return unit_end(strategy, text, start, len(text), fences=fences, markdown=markdown)


@pytest.mark.parametrize(
    ("strategy", "text", "end"),
    [
        ("by_sentence", "One. Two.", 4),
        ("by_sentence", "\n\nOne. Two.", 6),
        ("by_paragraph", "One. Two.\n\nThree.", 11),
        ("by_paragraph", "# A\n\n# B\n\nOne.\n\nTwo.", 16),
        ("by_heading", "# A\n\nOne.\n\n#tag\n\n# B\n", 17),
        ("by_heading", "# A\n```\n# B\n```\n# C\n", 16),
        ("by_row", "| a |\n|---|\n| 1 |\n| 2 |\n", 18),
        ("by_row", "| a |\n|---|\n\nText.", 12),
        ("by_row", "Text.\n| 1 |\n", 6),
        ("by_row", "```\n| a |\n```\n| 1 |\n", 14),
        ("by_row", "# A\n\n## B\n\n| a |\n|---|\n| 1 |\n| 2 |\n", 29),
        ("by_row", "Text.\n\n# A\n\n## B\n\n| a |\n|---|\n| 1 |\n", 7),
        ("by_row", "# A\n\nText.\n| a |\n", 11),
        ("by_sentence", "# A\n\n| a |\n|---|\n| 1 |\n| 2 |\n", 23),
        ("by_sentence", "| a |\n|---|\n| 1 |\n| 2 |\n", 18),
        ("by_sentence", "| a |\n|---|\n\nText.", 13),
    ],
)
def test_where_a_unit_ends(strategy, text, end):
    assert end_of(strategy, text) == end


@pytest.mark.parametrize("strategy", ["by_heading", "by_paragraph", "by_sentence", "by_row"])
@pytest.mark.parametrize("text", ["", " \n ", "no end", "| no end"])
def test_a_unit_without_an_end_goes_on(strategy, text):
    assert end_of(strategy, text) is None
    assert end_of(strategy, text, markdown=False) is None


def test_the_rest_of_a_row_that_was_cut_ends_with_its_line():
    assert end_of("by_row", "| a b |\nText.\n", 4) == 8
    assert end_of("by_row", "|---|\n| 1 |\n| 2 |\n") == 12
