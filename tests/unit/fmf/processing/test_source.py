"""Bytes are measured once and given again."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.errors import ConnectorError, ProcessingError
from fmf.processing import source as source_module
from fmf.processing.source import BLOCK, fetch
from fmf.types import ResourceRef
from fmf_core.errors import Code
from unit.fmf.processing.memory import MemoryConnector, source_of


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 5 * BLOCK + 3])
def test_size_and_hash_are_known_and_all_bytes_come_again(size, seekable):
    data = bytes(number % 251 for number in range(1000)) * (size // 1000 + 1)
    data = data[:size]
    connector = MemoryConnector({"a": data}, seekable=seekable)
    with fetch(connector, connector.ref("a"), max_bytes=1e9) as source:
        assert (source.size, source.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert b"".join(source.blocks()) == data
        assert b"".join(source.blocks(777)) == data
        assert source.window(10, 20) == data[10:30]


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize("sized", [True, False])
def test_too_large_a_file_is_refused_with_the_name_of_the_setting(seekable, sized):
    connector = MemoryConnector({"a": b"x" * 3_000_001}, seekable=seekable, sized=sized)
    with pytest.raises(ProcessingError) as caught, fetch(connector, connector.ref("a"), max_bytes=3_000_000):
        pass
    assert "processing.limits.max_file_mb" in caught.value.hint
    assert "3 MB are allowed" in caught.value.message


def test_a_file_that_changes_while_it_is_read_is_noticed():
    class Growing(io.BytesIO):
        def seek(self, place, whence=0):
            if self.tell() and not place:
                self.write(b"more")
            return super().seek(place, whence)

    class Connector(MemoryConnector):
        def open(self, ref):
            return Growing(b"x" * (BLOCK + 10))

    connector = Connector({"a": b""})
    ref = ResourceRef("a", "memory://a", "a")
    with fetch(connector, ref, max_bytes=1e9) as source, pytest.raises(ProcessingError, match="changed while"):
        list(source.blocks())


@pytest.mark.parametrize("at", ["open", "enter", "read"])
def test_what_a_connector_raises_without_meaning_to_is_its_own_fault(at, caplog):
    class Stream(io.RawIOBase):
        def read(self, size=-1):
            return [][size]

    class Words(MemoryConnector):
        def open(self, ref):
            return {"open": lambda: io.BytesIO("text"), "enter": lambda: "text", "read": Stream}[at]()

    ref = ResourceRef("a", "memory://a", "a")
    caplog.set_level("DEBUG", "fmf.processing")
    with pytest.raises(ConnectorError) as caught, fetch(Words({}), ref, max_bytes=1e9):
        pass
    assert "Words, raised " in caught.value.message
    assert "of the connector, not of the file" in caught.value.hint
    assert caught.value.code is Code.INTERNAL
    assert "Traceback" in caplog.text


def test_an_error_of_the_connector_passes():
    class Connector(MemoryConnector):
        def open(self, ref):
            raise ConnectorError("gone")

    with pytest.raises(ConnectorError, match="gone"), fetch(Connector({"a": b""}), source_ref(), max_bytes=9):
        pass


def test_a_large_file_that_was_rewritten_meanwhile_is_refused(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a" * 3_000_000)

    class Files:
        def open(self, ref):
            return path.open("rb")

    with fetch(Files(), source_ref(), max_bytes=1e9) as source:
        path.write_bytes(b"b" * 3_000_000)
        os.utime(path, ns=(1, 1))
        with pytest.raises(ProcessingError, match="changed while it was read"):
            list(source.blocks())


def source_ref() -> ResourceRef:
    return ResourceRef("a", "memory://a", "a")


@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_the_first_fault_in_utf8_and_the_first_zero_are_found_whatever_the_blocks(data):
    try:
        data.decode()
        fault = None
    except UnicodeDecodeError as error:
        fault = error.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "BLOCK", 3)
        with source_of(data) as source:
            assert source.utf8_fault == fault
            assert source.first_zero == (data.index(0) if 0 in data else None)
