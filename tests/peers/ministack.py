"""Ministack: AWS services that keep the rules of conditional requests, checksums and regions."""

from __future__ import annotations

from typing import ClassVar

from peers.aws_server import AwsServer


class Ministack(AwsServer):
    """Serves until the end of its context: `with Ministack() as server: ... server.url`."""

    program: ClassVar[str] = "ministack"
