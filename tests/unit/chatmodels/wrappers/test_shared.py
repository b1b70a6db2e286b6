from __future__ import annotations

import gc
import os
import threading

import pytest

from chatmodels import MockChatModel
from chatmodels.providers.azure_openai import AzureOpenAIChatModel
from chatmodels.providers.openai import OpenAIChatModel
from chatmodels.wrappers import shared as shared_states
from chatmodels.wrappers.base import WrappedModel
from chatmodels.wrappers.shared import KEPT_S, MOST_KEPT, MOST_NAMES, StateTable, forget_all


class State:
    def __init__(self, settings):
        self.settings = settings


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def model(endpoint="http://one", credentials_id=1, provider="mock"):
    made = MockChatModel()
    made.endpoint, made.credentials_id, made.provider_name = endpoint, credentials_id, provider
    return made


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(shared_states, "monotonic", made)
    return made


@pytest.fixture
def table(clock):
    return StateTable(State, clock=clock)


class NotYet(MockChatModel):
    @property
    def endpoint(self):
        return None


@pytest.mark.parametrize(
    ("asked", "is_serverless"),
    [
        (model(), False),
        (model(endpoint=None), True),
        (NotYet(), False),
        (WrappedModel(WrappedModel(model(endpoint=None))), True),
        (WrappedModel(NotYet()), False),
    ],
)
def test_models_whose_class_knows_of_no_server_may_have_another_kind_of_state(asked, is_serverless):
    table = StateTable(State, make_serverless=lambda _: State("serverless"))
    assert table.of(asked, "m", 1).settings == ("serverless" if is_serverless else 1)


def test_models_of_one_endpoint_share(table):
    assert table.lookup(1).of(model(), "m") is table.lookup(1).of(model(), "m")


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
def test_what_differs_does_not(table, other, name, settings):
    mine = table.lookup(1).of(model(), "m")
    assert table.lookup(settings).of(other, name) is not mine


def test_without_an_address_nobody_shares_but_with_oneself(table, clock):
    lookup, lone = table.lookup(1), model(endpoint=None)
    mine = lookup.of(lone, "m")
    clock.now += 2 * KEPT_S
    assert lookup.of(lone, "m") is mine
    assert table.lookup(1).of(lone, "m") is not mine
    assert len(table) == 0


def test_what_is_learnt_outlives_the_model_for_some_minutes(table, clock):
    def one_call(endpoint="http://one"):
        gc.collect()
        return id(table.lookup(1).of(model(endpoint), "m"))

    first = one_call()
    for _ in range(4):
        clock.now += KEPT_S - 1
        assert one_call() == first
    clock.now += KEPT_S + 1
    one_call("http://two")
    gc.collect()
    assert len(table) == 1


def test_what_a_model_uses_is_never_forgotten(table, clock):
    lookup, asked = table.lookup(1), model()
    mine = lookup.of(asked, "m")
    clock.now += 10 * KEPT_S
    table.lookup(1).of(model("http://two"), "m")
    assert table.lookup(1).of(model(), "m") is mine
    assert lookup.of(asked, "m") is mine


def test_a_model_in_use_keeps_the_state_fresh(table, clock):
    lookup = table.lookup(1)
    mine = id(lookup.of(model(), "m"))
    clock.now += KEPT_S - 1
    lookup.of(model(), "m")
    del lookup
    clock.now += KEPT_S - 1
    assert id(table.lookup(1).of(model(), "m")) == mine


def test_the_one_unused_for_the_longest_time_makes_room(table, clock):
    for number in range(MOST_KEPT):
        table.lookup(1).of(model(f"http://{number}"), "m")
    table.lookup(1).of(model("http://0"), "m")
    table.lookup(1).of(model("http://more"), "m")
    gc.collect()
    assert len(table) == MOST_KEPT
    kept = {key[1] for key in table._states}
    assert "http://0" in kept
    assert "http://1" not in kept


def test_no_model_and_no_credentials_are_kept(table):
    asked = model()
    table.lookup(1).of(asked, "m")
    gc.collect()
    (key,) = table._states
    assert key == ("mock", "http://one", 1, "m", 1)
    assert not [user for user in gc.get_referrers(asked) if isinstance(user, dict) and "_recent" in user]


def test_names_from_outside_do_not_fill_the_memory(table):
    lookup = table.lookup(1)
    for number in range(3 * MOST_NAMES):
        lookup.of(model(), str(number))
    gc.collect()
    assert len(table) <= MOST_NAMES + MOST_KEPT


def test_a_changed_address_is_noticed(table, clock):
    lookup, moving = table.lookup(1), model()
    first = lookup.of(moving, "m")
    moving.endpoint = "http://two"
    assert lookup.of(moving, "m") is first
    clock.now += 2
    assert lookup.of(moving, "m") is not first
    moving.endpoint = "http://one"
    clock.now += 2
    assert lookup.of(moving, "m") is first


def test_all_can_be_forgotten(table):
    lookup = table.lookup(1)
    mine = lookup.of(model(), "m")
    forget_all()
    assert lookup.of(model(), "m") is not mine


def test_threads_find_one_state(table):
    found, begin = [], threading.Barrier(8)

    def find():
        begin.wait(30)
        found.extend(table.lookup(1).of(model(), "m") for _ in range(50))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 400
    assert len({id(state) for state in found}) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_from_nothing(table):
    lookup = table.lookup(1)
    mine = lookup.of(model(), "m")
    with table._lock:
        child = os.fork()
        if child == 0:
            found = lookup.of(model(), "m")
            os._exit(0 if found is not mine and len(table) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lookup.of(model(), "m") is mine


def test_tenants_that_only_headers_tell_apart_share_nothing():
    def made(**settings):
        return OpenAIChatModel(base_url="http://127.0.0.1:9/v1", api_key="key-of-nobody", **settings)

    def azure(**settings):
        return AzureOpenAIChatModel(endpoint="https://x.openai.azure.com", api_key="key-of-nobody", **settings)

    for model in (made, azure):
        first, second = (model(default_headers={"x-tenant": name}).credentials_id for name in "ab")
        assert first != second
        assert model(default_headers={"X-Tenant": "a"}).credentials_id == first
        assert model().credentials_id == model().credentials_id
