"""A peer in a process of its own, idle until it is asked to measure."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.peers import environments

ROOT = Path(__file__).resolve().parents[2]
ANSWER_TIMEOUT_S = 180.0
"""The longest one measurement of one peer may take."""
QUIET = {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "NO_PROXY": "127.0.0.1",
    "PYTHONWARNINGS": "ignore",
}
"""Nothing here calls out."""


class FailedError(Exception):
    """A peer cannot be measured; says why."""


class PeerProcess:
    """Starts the process of one peer.

    Args:
        module: serves the peer; see `inside.serve`.
        name: the peer's name.
        environment: whose packages it needs; `None` is the environment of the project itself.
        variables: further environment variables.
    """

    def __init__(
        self, module: str, name: str, environment: str | None, variables: Mapping[str, str] | None = None
    ) -> None:
        try:
            python = environments.python_of(environment) if environment else sys.executable
        except environments.UnusableError as error:
            raise FailedError(str(error)) from error
        self._process = subprocess.Popen(
            [python, "-m", module, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_DEBUG") else subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **QUIET, **(variables or {})},
            start_new_session=True,  # some peers start servers of their own
        )

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """What the peer's process measures; raises `FailedError`."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise FailedError(f"its process has ended with {self._process.wait()}") from error
        if not select.select([self._process.stdout], [], [], ANSWER_TIMEOUT_S)[0]:
            self._process.kill()
            raise FailedError(f"no figures within {ANSWER_TIMEOUT_S:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise FailedError(f"its process has ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise FailedError(str(found["error"]))
        return found

    def close(self) -> None:
        """End the process and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
