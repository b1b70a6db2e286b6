from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.providers.http_errors import code_of_status, seconds_to_wait
from fmf_core.errors import Code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID),
        (401, Code.AUTH),
        (402, Code.BUDGET),
        (403, Code.AUTH),
        (404, Code.NOT_FOUND),
        (408, Code.TIMEOUT),
        (409, Code.UNAVAILABLE),
        (413, Code.INVALID),
        (422, Code.INVALID),
        (424, Code.UNAVAILABLE),
        (429, Code.RATE_LIMIT),
        (500, Code.UNAVAILABLE),
        (503, Code.UNAVAILABLE),
        (529, Code.UNAVAILABLE),
        (304, Code.BAD_REPLY),
    ],
)
def test_statuses(status: int, code: Code) -> None:
    assert code_of_status(status) is code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(time.time() - 60, usegmt=True)}, 0.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert seconds_to_wait(headers) == seconds


FAR = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "1.2.3", "Wed, 99 Foo", "9" * 400, FAR])
def test_a_wait_that_is_none(text: str) -> None:
    assert seconds_to_wait({"retry-after": text}) is None


@given(st.text(max_size=40))
def test_no_header_is_too_strange(text: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        waiting = seconds_to_wait({name: text})
        assert waiting is None or waiting >= 0
