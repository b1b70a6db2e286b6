"""The peers' environments: made once, outside the repository, with the versions that stand beside this file."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALL_TIMEOUT_S = 900.0


class UnusableError(Exception):
    """An environment cannot be made; says why."""


def folder() -> Path:
    """Where the environments are: `BENCH_ENVIRONMENTS`, else in the user's cache folder."""
    if chosen := os.environ.get("BENCH_ENVIRONMENTS"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fmf" / "benchmarks"


def python_of(name: str) -> str:
    """The interpreter of environment `name`, which is made when it is not there.

    Raises:
        UnusableError: it cannot be made.
    """
    pins = HERE / f"{name}.txt"
    where = folder() / name
    python = where / "bin" / "python"
    stamp = where / "made"
    made = hashlib.sha256(pins.read_bytes() + platform.python_version().encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made:
        print(f"making the environment of {name} in {where} ...", file=sys.stderr)
        _run([sys.executable, "-m", "venv", str(where)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(pins)])
        stamp.write_text(made)
    return str(python)


def version(name: str, distribution: str) -> str:
    """Which version of `distribution` is pinned for environment `name`."""
    for line in (HERE / f"{name}.txt").read_text().splitlines():
        found, _, pinned = line.partition("==")
        if found.lower() == distribution:
            return pinned
    raise KeyError(distribution)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnusableError(f"{type(error).__name__}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise UnusableError(f"{' '.join(command[1:3])}: {last}")
