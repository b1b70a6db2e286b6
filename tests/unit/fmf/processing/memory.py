"""A connector over bytes in memory, for tests of what reads from connectors."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from fmf.types import ResourceRef


class MemoryConnector:
    """Lists and opens named bytes; `seekable=False` gives streams that only go forward."""

    def __init__(self, files: dict[str, bytes], *, seekable: bool = True, sized: bool = True) -> None:
        self.name = "memory"
        self.files = files
        self.seekable = seekable
        self.sized = sized

    def list(self, select: Sequence[str] = ()) -> Iterator[ResourceRef]:
        return iter([self.ref(name) for name in sorted(self.files)])

    def ref(self, name: str) -> ResourceRef:
        size = len(self.files[name]) if self.sized else None
        return ResourceRef(name, f"memory://{name}", name.rpartition("/")[2], size)

    def open(self, ref: ResourceRef) -> BinaryIO:
        stream = io.BytesIO(self.files[ref.id])
        return stream if self.seekable else _ForwardOnly(stream)

    def info(self, ref: ResourceRef) -> ResourceRef:
        return self.ref(ref.id)


class _ForwardOnly(io.BufferedReader):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


def source_of(data: bytes, name: str = "a.txt"):
    """The context of a fetched source over `data`."""
    from fmf.processing.source import fetch

    connector = MemoryConnector({name: data})
    return fetch(connector, connector.ref(name), max_bytes=1e12)
