from __future__ import annotations

import stat
import subprocess
import sys

import pytest

from fmf.errors import PromptError
from fmf.prompts.index import IndexVersion, PromptIndex, locked, read_index, write_index

HASH = "sha256:" + "a" * 64


def test_an_absent_or_empty_file_is_an_empty_index(tmp_path):
    assert read_index(tmp_path / "index.yaml") == PromptIndex()
    (tmp_path / "index.yaml").write_text("# nothing yet\n")
    assert read_index(tmp_path / "index.yaml") == PromptIndex()


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "index.yaml"
    index = PromptIndex().adding("b", "prompts/b.yaml", IndexVersion(version="v1", content_hash=HASH))
    index = index.adding("a", "prompts/ä b.yaml", IndexVersion(version="v1", content_hash=HASH))
    index = index.adding("b", "prompts/b.yaml", IndexVersion(version="v2", content_hash=HASH))
    write_index(path, index)
    assert read_index(path) == index
    assert [entry.id for entry in index.prompts] == ["a", "b"]
    assert index.hash_of("b", "v2") == HASH
    assert index.hash_of("b", "v3") is None
    assert index.hash_of("c", "v1") is None
    assert [item.name for item in tmp_path.iterdir()] == ["index.yaml"]


def test_the_mode_of_the_file_is_kept(tmp_path):
    path = tmp_path / "index.yaml"
    write_index(path, PromptIndex())
    path.chmod(0o640)
    write_index(path, PromptIndex())
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("prompts: [{id: a, path: p, versions: [{version: v1, hash: x}]}]", "content_hash"),
        (f"prompts: [{{id: a, path: p, versions: [{{version: v1, content_hash: {HASH}x}}]}}]", "content_hash"),
        ("prompts: [{id: a, path: p}, {id: a, path: q}]", "more than once"),
        ("- a", "index.yaml"),
        ("prompts: {", "index.yaml:"),
    ],
)
def test_a_malformed_index(tmp_path, text, part):
    (tmp_path / "index.yaml").write_text(text)
    with pytest.raises(PromptError, match=part):
        read_index(tmp_path / "index.yaml")


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(PromptError, match="could not be written"):
        write_index(tmp_path / "gone" / "index.yaml", PromptIndex())
    (tmp_path / "file").write_text("")
    with pytest.raises(PromptError, match="could not be opened"), locked(tmp_path / "file" / "index.yaml"):
        pass


def test_another_process_waits_for_the_lock(tmp_path):
    path = tmp_path / "prompts" / "index.yaml"
    script = (
        "import sys, pathlib; from fmf.prompts.index import locked\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "with locked(path): print(path.read_text(), flush=True)\n"
    )
    with locked(path):
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        path.write_text("written under the lock")
    assert child.communicate(timeout=30)[0] == "written under the lock\n"
    assert [item.name for item in path.parent.iterdir()] == ["index.yaml"]
