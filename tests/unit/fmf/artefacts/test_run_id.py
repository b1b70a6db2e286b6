from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from fmf.artefacts.run_id import is_run_id, new_run_id, timestamp


def test_form_and_order():
    early = new_run_id(datetime(2026, 11, 21, 9, 45, 0, 123999, tzinfo=UTC))
    late = new_run_id(datetime(2026, 11, 21, 9, 45, 0, 124000, tzinfo=UTC))
    assert early.startswith("20261121T094500123Z-")
    assert early < late
    assert is_run_id(early)
    assert not is_run_id("notes")
    assert not is_run_id(early + "x")


def test_local_time_becomes_utc():
    there = datetime(2026, 11, 21, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert new_run_id(there).startswith("20261120T230000000Z")
    assert timestamp(there) == "2026-11-20T23:00:00.000Z"


def test_ids_of_one_moment_differ():
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    assert len({new_run_id(moment) for _ in range(200)}) == 200


def test_the_present_is_the_default():
    assert is_run_id(new_run_id())
    assert timestamp().endswith("Z")
