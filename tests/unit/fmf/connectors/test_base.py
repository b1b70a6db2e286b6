"""What a connector may say of itself, and what counts where it says nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fmf.connectors.base import concurrency_of


@pytest.mark.parametrize(
    ("said", "counts"), [({}, 1), ({"concurrency": 8}, 8), ({"concurrency": 0}, 1), ({"concurrency": "8"}, 1)]
)
def test_a_connector_says_how_many_resources_are_best_read_at_once(said, counts):
    assert concurrency_of(SimpleNamespace(**said)) == counts
