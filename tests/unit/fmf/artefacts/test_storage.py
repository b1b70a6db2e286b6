from __future__ import annotations

import stat

import pytest

from fmf.artefacts.storage import write_whole
from fmf_core.errors import FrameworkError


def test_whole_or_old(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_others_may_read_it(tmp_path):
    path, plain = tmp_path / "a.json", tmp_path / "plain"
    write_whole(path, b"one")
    plain.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_what_fails_leaves_nothing_behind(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "inside").touch()
    with pytest.raises(FrameworkError, match="folder"):
        write_whole(target, b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
