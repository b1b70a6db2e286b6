"""Bytes that come too slowly count as broken off; the time that a reader takes counts for nothing."""

from __future__ import annotations

import time

import pytest

from fmf.connectors.body import SLOWEST, Body, Pace
from fmf.connectors.retries import Retries
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from fmf_core.retry import RetryPolicy


def slowly(count, pause_s=0.02, piece=b"x"):
    for _ in range(count):
        time.sleep(pause_s)
        yield piece


def test_a_drip_is_a_timeout():
    pace, pieces = Pace("x://a", 0.01), slowly(3)
    with pytest.raises(ConnectorError, match="x://a came too slowly: 1 bytes") as caught:
        pace.next(pieces)
    assert caught.value.code is Code.TIMEOUT


def test_enough_bytes_may_come_as_long_as_they_like():
    pace, pieces = Pace("x://a", 0.01), slowly(5, piece=b"x" * SLOWEST * 60)
    assert len(b"".join(iter(lambda: pace.next(pieces), b""))) == 5 * 60 * SLOWEST


def test_a_reader_who_takes_his_time_is_no_drip():
    pace, pieces = Pace("x://a", 5), iter([b"x"] * 3)
    for _ in range(3):
        assert pace.next(pieces) == b"x"
        time.sleep(0.02)
    assert pace.next(pieces) == b""


def test_a_body_that_drips_is_read_on_from_there():
    content = bytes(range(200)) * 10
    asked = []

    def drip():
        for number in range(len(content)):
            time.sleep(0.02)
            yield content[number : number + 1]

    def pieces_from(start):
        asked.append(start)
        return iter([content[start:]])

    retries = Retries("docs", RetryPolicy(max_attempts=3, first_wait_s=0))
    body = Body("x://a", len(content), drip(), pieces_from, retries, patience_s=0.05)
    assert body.readall() == content
    assert len(asked) == retries.count == 1


def test_a_body_that_drips_again_and_again_is_given_up():
    retries = Retries("docs", RetryPolicy(max_attempts=3, first_wait_s=0))
    body = Body("x://a", 2000, slowly(99), lambda _: slowly(99), retries, patience_s=0.05)
    with pytest.raises(ConnectorError, match="too slowly") as caught:
        body.readall()
    assert caught.value.code is Code.TRUNCATED
    assert retries.count == 2
