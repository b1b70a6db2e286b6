"""Fingerprints of secrets: enough to blank them in a text, and too little to tell them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """Enough of one form of a secret to find it in a text."""

    beginning: str
    length: int
    """Characters of the whole form."""
    digest: bytes
    """The keyed hash of the whole form."""


@dataclass(frozen=True)
class Fingerprints:
    """What another process needs to blank this one's secrets without knowing them."""

    key: bytes = b""
    """Of the hashes; drawn anew each time."""
    of: tuple[Fingerprint, ...] = ()

    def blank(self, text: str, mask: str) -> str:
        """`text` with every secret replaced by `mask`."""
        for found in self.of:
            if found.beginning in text:
                text = self._without(text, found, mask)
        return text

    def _without(self, text: str, found: Fingerprint, mask: str) -> str:
        at = text.find(found.beginning)
        while at >= 0:
            end = at + found.length
            if end <= len(text) and _digest(text[at:end], self.key) == found.digest:
                text = text[:at] + mask + text[end:]
                at += len(mask) - 1
            at = text.find(found.beginning, at + 1)
        return text


def fingerprints_of(forms: Sequence[str]) -> Fingerprints:
    """The fingerprints of `forms`; a third of a form is shown at most, and no more than four characters."""
    if not forms:
        return Fingerprints()
    key = secrets.token_bytes(32)
    of = (Fingerprint(form[: min(4, len(form) // 3)], len(form), _digest(form, key)) for form in forms)
    return Fingerprints(key, tuple(of))


def _digest(form: str, key: bytes) -> bytes:
    return hashlib.blake2b(form.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()
