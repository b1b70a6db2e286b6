"""What is left out is counted, whoever lists at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fmf.connectors.notices import Notices


def test_many_threads_count_together():
    notices = Notices()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(lambda: [notices.count("links") for _ in range(500)])
    notices.count("pipes", 2)
    notices.count("none", 0)
    assert notices == {"links": 4000, "pipes": 2}
