"""Names stand in ids in one printable form that leads back to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.connectors.names import name_of, part_of
from fmf.connectors.selection import is_path

NAMES = st.text(st.characters(exclude_categories=()), min_size=1, max_size=8) | st.sampled_from([".", "..", "\\x41"])


@given(NAMES)
def test_every_name_comes_back_from_its_part(name):
    part = part_of(name)
    assert name_of(part) == name
    assert "/" not in part
    assert is_path(part)
    part.encode()


@given(st.binary(min_size=1, max_size=8))
def test_bytes_that_are_no_text_come_back_too(raw):
    name = raw.decode("utf-8", "surrogateescape")
    assert name_of(part_of(name, "surrogateescape"), "surrogateescape") == name


@pytest.mark.parametrize("part", ["\\xff", "a\\xc3"])
def test_a_part_behind_which_is_no_name_stays_as_it_is(part):
    assert name_of(part) == part
