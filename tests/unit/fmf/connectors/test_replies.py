"""A status means the same for every connector, and so does the wish to wait."""

from __future__ import annotations

import pickle
import time
from email.utils import formatdate

import httpx
import pytest

from fmf.connectors.replies import Extent, StrangeReplyError, code_of, extent_of, retry_after, same_version


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


@pytest.mark.parametrize(
    ("status", "headers", "start", "extent"),
    [
        (200, {"content-length": "10"}, 0, Extent(0, 10, 10)),
        (200, {}, 0, Extent(0, None, None)),
        (200, {"content-length": "10"}, 4, Extent(4, 10, 10)),
        (206, {"content-range": "bytes 4-9/10", "content-length": "6"}, 4, Extent(0, 10, 6)),
        (206, {"content-range": "bytes 4-9/10"}, 4, Extent(0, 10, None)),
        (206, {"content-range": "bytes 4-9/*"}, 4, Extent(0, None, None)),
        (206, {"content-range": "bytes 0-9/10"}, 0, Extent(0, 10, None)),
    ],
)
def test_a_reply_says_which_bytes_it_holds(status, headers, start, extent):
    assert extent_of(status, httpx.Headers(headers), start) == extent


@pytest.mark.parametrize(
    ("told", "length"),
    [
        ("bytes 5-9/10", None),
        ("bytes 4-8/10", None),
        ("bytes 4-9/10", "5"),
        ("bytes */10", None),
        ("bytes 4-9", None),
        ("bytes 4-\u0669/\u0661\u0660", None),
        ("", None),
    ],
)
def test_other_bytes_than_were_asked_for_are_an_error(told, length):
    headers = {"content-range": told, **({"content-length": length} if length else {})}
    with pytest.raises(ValueError, match="part of it came"):
        extent_of(206, headers, 4)


def test_versions_are_the_same_in_any_spelling_and_never_without_one():
    for one, other in (('"a"', '"a"'), ('"a"', "a"), ('W/"a"', ' "a" ')):
        assert same_version(one, other)
    for one, other in (('"a"', '"b"'), ('"a"', None), (None, None), ("", ""), ('"a"', "")):
        assert not same_version(one, other)


def test_a_strange_reply_is_worth_another_request_also_after_it_was_pickled():
    error = StrangeReplyError("odd", op="x.list", hint="look")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.retryable, again.hint) == ("bad_reply", True, "look")
