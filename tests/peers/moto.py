"""Moto: the second opinion on AWS services, slow and thorough."""

from __future__ import annotations

from typing import ClassVar

from peers.aws_server import AwsServer


class Moto(AwsServer):
    """Serves until the end of its context: `with Moto() as server: ... server.url`."""

    program: ClassVar[str] = "moto"
