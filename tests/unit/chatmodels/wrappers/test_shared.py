from __future__ import annotations

import gc
import os

import pytest

from chatmodels import MockChatModel
from chatmodels.wrappers.shared import MOST_KEPT, Seats, SharedState


class State:
    def __init__(self, settings):
        self.settings = settings


def model(endpoint="http://one", credentials_id=1, provider="mock"):
    made = MockChatModel()
    made.endpoint, made.credentials_id, made.provider_name = endpoint, credentials_id, provider
    return made


@pytest.fixture
def shared():
    return SharedState(State)


def test_models_of_one_endpoint_share(shared):
    assert Seats(shared, 1).of(model(), "m") is Seats(shared, 1).of(model(), "m")


@pytest.mark.parametrize(
    ("other", "name", "settings"),
    [
        (model(endpoint="http://two"), "m", 1),
        (model(credentials_id=2), "m", 1),
        (model(provider="p"), "m", 1),
        (model(), "n", 1),
        (model(), "m", 2),
    ],
)
def test_what_differs_does_not(shared, other, name, settings):
    mine = Seats(shared, 1).of(model(), "m")
    assert Seats(shared, settings).of(other, name) is not mine


def test_without_an_address_nobody_shares_but_with_oneself(shared):
    seats, lone = Seats(shared, 1), model(endpoint=None)
    assert seats.of(lone, "m") is seats.of(lone, "m")
    assert seats.of(lone, "m") is not Seats(shared, 1).of(lone, "m")


def test_what_nobody_uses_is_forgotten(shared):
    seats = Seats(shared, 1)
    seats.of(model(), "m")
    del seats
    gc.collect()
    assert not shared._states


def test_names_from_outside_do_not_fill_the_memory(shared):
    seats = Seats(shared, 1)
    for number in range(3 * MOST_KEPT):
        seats.of(model(), str(number))
    gc.collect()
    assert len(shared._states) <= MOST_KEPT


def test_a_changed_address_is_noticed(shared, monkeypatch):
    now = 100.0
    monkeypatch.setattr("chatmodels.wrappers.shared.monotonic", lambda: now)
    seats, moving = Seats(shared, 1), model()
    first = seats.of(moving, "m")
    moving.endpoint = "http://two"
    now = 102.0
    assert seats.of(moving, "m") is not first
    moving.endpoint = "http://one"
    now = 104.0
    assert seats.of(moving, "m") is first


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_from_nothing(shared):
    seats = Seats(shared, 1)
    mine = seats.of(model(), "m")
    with shared._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if seats.of(model(), "m") is not mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
