"""A server that speaks AWS, in a process and an environment of its own, on a free port of loopback.

The environment is `.venv-peers`, which `make` fills from `requirements.txt`. Run as a program (`python aws_server.py
NAME PORT`, with the Python of that environment) it serves until its standard input ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import ClassVar, Self

PYTHON = Path(__file__).resolve().parents[2] / ".venv-peers" / "bin" / "python"
START_S = 60.0
"""How long a server may take to start on a busy machine, in seconds."""


def free_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class AwsServer:
    """A context manager that starts the server and stops it.

    Raises:
        RuntimeError: it cannot start here; the message says why.
    """

    program: ClassVar[str]

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        """What to give as `endpoint_url`."""

    def __enter__(self) -> Self:
        if not PYTHON.exists():
            raise RuntimeError(f"{self.program} is not installed: {PYTHON.parents[1].name} is made by `make test`")
        self._log = tempfile.TemporaryFile()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        self._process = subprocess.Popen(
            [PYTHON, __file__, self.program, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=kept,
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace")[-500:]
                self.__exit__()
                raise RuntimeError(f"{self.program} did not start: {said}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._log.close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def serve(program: str, port: str) -> None:
    """Serve until standard input ends."""
    # A module of this folder has the name of the package that it starts.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent]

    def end_with_input() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_input, daemon=True).start()
    if program == "moto":
        from moto.server import main as moto

        moto(["-H", "127.0.0.1", "-p", port])
    else:
        os.environ.update(BIND_HOST="127.0.0.1", GATEWAY_PORT=port, IOT_MTLS_ENABLED="0", SFTP_ENABLED="0")
        from ministack.app import main as ministack

        sys.argv[1:] = []
        ministack()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
