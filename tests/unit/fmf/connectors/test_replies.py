"""A status means the same for every connector, and so does the wish to wait."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from fmf.connectors.replies import code_of, retry_after


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid"),
        (404, "not_found"),
        (410, "not_found"),
        (418, "bad_reply"),
        (429, "rate_limit"),
        (502, "unavailable"),
    ],
)
def test_a_status_has_a_code(status, code):
    assert code_of(status) == code


@pytest.mark.parametrize("headers", [{"Retry-After": " 7"}, {"retry-after": "7"}, httpx.Headers({"RETRY-AFTER": "7"})])
def test_seconds_are_told_as_a_number(headers):
    assert retry_after(headers) == 7


def test_seconds_are_told_as_a_date():
    assert 50 < (retry_after({"Retry-After": formatdate(time.time() + 100, usegmt=True)}) or 0) <= 100
    assert retry_after({"Retry-After": formatdate(0, usegmt=True)}) == 0


@pytest.mark.parametrize("headers", [{}, {"Retry-After": ""}, {"Retry-After": "soon"}, {"Retry-After": "-1"}])
def test_what_is_no_time_counts_as_none(headers):
    assert retry_after(headers) is None
