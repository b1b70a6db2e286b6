from __future__ import annotations

import pytest

from fmf.ledger.checkpoint import Checkpoint


def test_a_checkpoint_is_the_same_after_it_was_written_and_read():
    kept = Checkpoint({"docs.jsonl": 10**12}, {"docs": 3}, {"steps": {"a": [1, None, "ü"]}})
    assert Checkpoint.load(kept.dump()) == kept
    assert Checkpoint.load(Checkpoint().dump()) == Checkpoint()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"bytes_of": {}, "position": {}}', b"null"])
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(ValueError, match=r"it is no checkpoint|[Ii]nput"):
        Checkpoint.load(text)


def test_a_tally_that_is_no_json_is_refused():
    with pytest.raises(TypeError):
        Checkpoint(tally={"x": object()}).dump()
