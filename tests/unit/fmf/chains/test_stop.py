from __future__ import annotations

from fmf.chains.stop import Stop, StopReason


def test_the_first_reason_stays():
    stop = Stop()
    assert not stop.requested
    stop.request(StopReason.FAILED)
    stop.request(StopReason.INTERRUPTED)
    assert stop.requested
    assert stop.reason is StopReason.FAILED


def test_everybody_hears_it_once():
    stop, heard = Stop(), []
    stop.listen(lambda: heard.append("early"))
    stop.request(StopReason.INTERRUPTED)
    stop.request(StopReason.INTERRUPTED)
    stop.listen(lambda: heard.append("late"))
    assert heard == ["early", "late"]


def test_a_listener_whose_loop_is_gone_is_no_obstacle():
    stop, heard = Stop(), []

    def gone():
        raise RuntimeError("Event loop is closed")

    stop.listen(gone)
    stop.listen(lambda: heard.append("next"))
    stop.request(StopReason.CANCELLED)
    assert heard == ["next"]
