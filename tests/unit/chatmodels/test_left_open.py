from __future__ import annotations

import copy
import pickle

import pytest
from pydantic import ValidationError

from chatmodels import ChatRequest, Message
from chatmodels.cassette.on_tape import on_tape
from chatmodels.request_facts import request_facts, request_key

REQUEST = ChatRequest(prompt="x", max_tokens=5)
NOTED = REQUEST.filled({"temperature": 0.1, "max_tokens": 7}, note=True)


class TestWhatWasFilledIn:
    def test_it_is_noted_where_that_is_wanted(self):
        assert NOTED.filled_in == {"temperature"}
        assert (NOTED.temperature, NOTED.max_tokens) == (0.1, 5)
        assert REQUEST.filled({"temperature": 0.1}).filled_in == frozenset()
        assert NOTED.filled({"seed": 1}, note=True).filled_in == {"temperature", "seed"}

    def test_what_is_chosen_later_is_no_longer_filled_in(self):
        assert NOTED.model_copy(update={"temperature": 0.1}).filled_in == frozenset()
        assert NOTED.model_copy(update={"seed": 3}).filled_in == {"temperature"}
        assert NOTED.without({"temperature"}).filled_in == frozenset()
        assert NOTED.remade(seed=3).filled_in == frozenset()

    @pytest.mark.parametrize(
        "other", [copy.copy(NOTED), NOTED.model_copy(deep=True), pickle.loads(pickle.dumps(NOTED))]
    )
    def test_copies_keep_it(self, other):
        assert other.filled_in == {"temperature"}
        assert other == NOTED

    def test_nothing_but_the_next_model_sees_it(self):
        plain = REQUEST.filled({"temperature": 0.1})
        assert plain == NOTED
        assert NOTED.model_copy(update={"temperature": 0.2}) != NOTED
        assert repr(plain) == repr(NOTED)
        assert plain.model_dump() == NOTED.model_dump()
        assert plain.model_dump_json(exclude_unset=True) == NOTED.model_dump_json(exclude_unset=True)
        assert plain.model_fields_set == NOTED.model_fields_set
        assert request_facts(plain) == request_facts(NOTED)
        assert request_key(plain) == request_key(NOTED)
        assert on_tape(plain) == on_tape(NOTED)

    def test_who_makes_a_request_of_another_ones_fields_gets_an_equal_one(self):
        assert ChatRequest(**dict(REQUEST)) == REQUEST
        assert ChatRequest(**dict(NOTED)) == NOTED


class TestWhatIsOpen:
    def test_what_stands_in_counts_as_open(self):
        request = REQUEST.standing_in(model="ours")
        assert (request.model, request.named_model, request.given) == ("ours", None, REQUEST.given)
        assert request.filled({"model": "theirs"}).named_model == "theirs"

    def test_a_setting_is_opened_again_and_the_conversation_stays(self):
        request = ChatRequest(
            messages=[Message(role="system", content="s"), Message(role="user", content="x")], model="m", seed=3
        )
        opened = request.without({"model", "max_tokens"})
        assert opened.given == {"messages": request.messages, "seed": 3}
        assert opened == ChatRequest(messages=request.messages, seed=3)
        assert (request.named_model, opened.named_model) == ("m", None)

    def test_views_are_made_anew_when_one_changes(self):
        longer = REQUEST.remade(messages=(*REQUEST.messages, Message(role="user", content="and?")))
        assert (longer.prompt, longer.max_tokens, len(longer.messages)) == ("and?", 5, 2)
        assert REQUEST.remade(seed=3) == ChatRequest(prompt="x", max_tokens=5, seed=3)

    def test_what_is_remade_is_checked(self):
        with pytest.raises(ValidationError):
            REQUEST.remade(max_tokens=0)
