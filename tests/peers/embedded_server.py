"""The embedded engine's own OpenAI-compatible server, in a process of its own on a free port of loopback.

Run as a program (`python embedded_server.py WEIGHTS`) it prints its address and serves until its standard input ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

API_KEY = "embedded-peer-key"


class EmbeddedServer:
    """A real server with a real model; use it as a context manager."""

    def __init__(self, weights: Path, *, context: int = 2048) -> None:
        self._command = [sys.executable, __file__, str(weights), str(context)]
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""
        """What to give as `base_url`."""
        self.api_key = API_KEY

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        if not address:
            raise RuntimeError("the embedded server did not start")
        self.base_url = f"{address}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()


def serve(weights: str, context: int) -> None:
    """Serve until standard input ends."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {Path(weights).stem}
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.n_batch = params.n_ubatch = 64
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = False
    params.ui = False
    params.verbosity = 0
    params.api_keys = [API_KEY]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
