from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatmodels.wrappers.circuit import Circuit


def failed(circuit, times, now=0.0):
    for _ in range(times):
        leave = circuit.enter(now)
        assert leave is not None
        circuit.settle(leave, False, now)


class TestClosed:
    def test_it_opens_after_failures_in_a_row(self):
        circuit = Circuit(3, 10)
        failed(circuit, 2)
        assert circuit.is_closed
        failed(circuit, 1)
        assert not circuit.is_closed
        assert circuit.enter(0) is None
        assert circuit.wait(4) == 6

    def test_a_success_in_between_begins_the_count_anew(self):
        circuit = Circuit(2, 10)
        failed(circuit, 1)
        circuit.settle(circuit.enter(0), True, 0)
        failed(circuit, 1)
        assert circuit.is_closed

    def test_no_news_count_neither_way(self):
        circuit = Circuit(2, 10)
        failed(circuit, 1)
        circuit.settle(circuit.enter(0), None, 0)
        failed(circuit, 1)
        assert not circuit.is_closed


class TestOpen:
    def test_one_probe_goes_when_the_time_has_come(self):
        circuit = Circuit(1, 10)
        failed(circuit, 1)
        assert circuit.enter(9.9) is None
        probe = circuit.enter(10)
        assert probe is not None
        assert probe.is_probe
        assert circuit.probing
        assert circuit.enter(11) is None
        assert circuit.settle(probe, True, 12)
        assert circuit.is_closed
        assert circuit.enter(12) is not None

    def test_a_failed_probe_opens_it_for_another_while(self):
        circuit = Circuit(1, 10)
        failed(circuit, 1)
        circuit.settle(circuit.enter(10), False, 12)
        assert circuit.enter(21.9) is None
        assert circuit.enter(22) is not None

    def test_a_cancelled_probe_makes_room_for_the_next_at_once(self):
        circuit = Circuit(1, 10)
        failed(circuit, 1)
        circuit.settle(circuit.enter(10), None, 11)
        assert circuit.enter(11) is not None

    def test_a_probe_that_is_never_heard_of_again_is_given_up(self):
        circuit = Circuit(1, 10)
        failed(circuit, 1)
        lost = circuit.enter(10)
        assert circuit.enter(19.9) is None
        probe = circuit.enter(20)
        assert probe is not None
        assert not circuit.settle(lost, True, 20)
        assert not circuit.is_closed

    def test_outcomes_of_calls_from_before_do_not_count(self):
        circuit = Circuit(1, 10)
        early, late = circuit.enter(0), circuit.enter(0)
        circuit.settle(early, False, 1)
        circuit.settle(circuit.enter(11), True, 12)
        assert not circuit.settle(late, False, 13)
        assert circuit.is_closed


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(0, 5)), max_size=60), st.integers(1, 4))
def test_while_it_is_open_one_may_pass_and_only_when_it_is_time(steps, failures):
    circuit = Circuit(failures, 3)
    now = opened_at = 0.0
    in_a_row = 0
    for good, pause in steps:
        now += pause
        was_closed = circuit.is_closed
        leave = circuit.enter(now)
        if leave is None:
            assert not was_closed
            assert now - opened_at < 3
            continue
        assert leave.is_probe is not was_closed
        if leave.is_probe:
            assert now - opened_at >= 3
            assert circuit.enter(now) is None
        circuit.settle(leave, good, now)
        in_a_row = 0 if good else in_a_row + (good is False)
        if leave.is_probe:
            assert circuit.is_closed is (good is True)
            in_a_row = 0
        else:
            assert circuit.is_closed is (in_a_row < failures)
        if good is False and not circuit.is_closed:
            opened_at, in_a_row = now, 0
