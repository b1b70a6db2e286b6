"""Combining marks are the same under every Python."""

from __future__ import annotations

import unicodedata

from fmf.processing.cutting.combining import MARK

OLD = unicodedata.ucd_3_2_0


def test_marks_are_those_of_unicode_and_nothing_else_is_one():
    characters = [chr(code) for code in range(0x300, 0x20000) if OLD.category(chr(code)) not in {"Cn", "Cs"}]
    known = {mark for mark in characters if unicodedata.category(mark).startswith("M")}
    assert len(known) > 600
    assert {character for character in characters if MARK.match(character)} == known
