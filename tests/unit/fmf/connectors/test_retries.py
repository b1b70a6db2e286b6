"""Requests are made again while waiting helps, and each time counts."""

from __future__ import annotations

import threading

import pytest

from fmf.connectors.retries import Retries
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from fmf_core.retry import RetryPolicy

AT_ONCE = RetryPolicy(max_attempts=3, first_wait_s=0)


def failing(times, code=Code.UNAVAILABLE, **more):
    left = [times]

    def request():
        if left[0]:
            left[0] -= 1
            raise ConnectorError("no", code=code, **more)
        return "yes"

    return request


def test_what_passes_is_tried_again_and_counted():
    retries = Retries("docs", AT_ONCE)
    assert retries.call(failing(2)) == "yes"
    assert retries.count == 2


def test_the_last_failure_is_raised_and_says_how_often():
    retries = Retries("docs", AT_ONCE)
    with pytest.raises(ConnectorError) as caught:
        retries.call(failing(9))
    assert caught.value.fields["attempts"] == 3
    assert retries.count == 2


@pytest.mark.parametrize(("code", "more"), [(Code.NOT_FOUND, {}), (Code.RATE_LIMIT, {"retry_after": 3600})])
def test_what_waiting_does_not_help_is_raised_at_once(code, more):
    retries = Retries("docs", AT_ONCE)
    with pytest.raises(ConnectorError) as caught:
        retries.call(failing(1, code, **more))
    assert retries.count == 0
    assert "attempts" not in caught.value.fields


def test_many_threads_count_together():
    retries = Retries("docs", AT_ONCE)
    threads = [threading.Thread(target=lambda: retries.call(failing(2))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert retries.count == 40
