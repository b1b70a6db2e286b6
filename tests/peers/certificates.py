"""Certificates for servers on loopback, made with the `openssl` command: a good one, and the kinds that are refused."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
SIGNED = {"good": ("IP:127.0.0.1", 2), "wrong_host": ("DNS:elsewhere.example", 2), "expired": ("IP:127.0.0.1", -1)}
"""Names of certificates with what they are for and how many days they hold."""


class Certificates:
    """An authority of its own in an empty folder, and what it signed.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = folder / "authority.pem"
        """What to trust: give it as `ca_bundle`."""
        self._make(f"req -x509 {KEY} -keyout authority.key -out authority.pem -days 2 -subj /CN=authority")
        self._make(f"req -x509 {KEY} -keyout self_signed.key -out self_signed.pem -days 2 -subj /CN=127.0.0.1")
        for name, (subject, days) in SIGNED.items():
            (folder / f"{name}.ext").write_text(f"subjectAltName={subject}\n")
            self._make(f"req -new {KEY} -keyout {name}.key -out {name}.csr -subj /CN=server")
            self._make(
                f"x509 -req -in {name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial "
                f"-out {name}.pem -days {days} -extfile {name}.ext"
            )

    def context(self, name: str) -> ssl.SSLContext:
        """A server's side of TLS with one of the certificates: `good`, `self_signed`, `wrong_host` or `expired`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _make(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self._folder, check=True, capture_output=True)
