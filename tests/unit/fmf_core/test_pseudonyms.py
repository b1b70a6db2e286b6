from __future__ import annotations

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmf_core.errors import ConfigurationError
from fmf_core.pseudonyms import Pseudonyms, hide_values, restore_values

MAIL, PHONE = "ann@example.org", "+49 30 901820"


def test_each_value_has_one_token_of_its_kind_and_comes_back():
    names = Pseudonyms()
    text = f"Write to {MAIL} or bob@example.org, call {PHONE}; {MAIL} is best."
    hidden = names.hide(text)
    assert hidden == "Write to [EMAIL_1] or [EMAIL_2], call [PHONE_1]; [EMAIL_1] is best."
    assert names.restore(hidden) == text
    assert names.hide(MAIL) == "[EMAIL_1]"
    assert len(names) == 3


@pytest.mark.parametrize(
    "written",
    [
        "[EMAIL_1]",
        "[email_1]",
        "[Email 1]",
        "[ EMAIL_1 ]",
        "[EMAIL-1]",
        r"\[EMAIL\_1\]",
        r"[EMAIL\_1]",
        "EMAIL_1",
        r"EMAIL\_1",
        "[EMAIL_01]",
    ],
)
def test_a_token_is_known_again_as_models_write_it(written):
    names = Pseudonyms()
    names.hide(MAIL)
    assert names.restore(f"Dear {written}, hello") == f"Dear {MAIL}, hello"


@pytest.mark.parametrize(
    "written",
    ["email_1", "XEMAIL_1", "EMAIL_12", "[EMAIL_2]", "[PHONE_1]", "EMAIL 1", "[EMAIL_1_2]", "EMAIL_1-A", "[1]"],
)
def test_what_is_no_token_stays(written):
    names = Pseudonyms()
    names.hide(MAIL)
    assert names.restore(f"a {written} b") == f"a {written} b"


def test_a_number_that_the_text_uses_itself_is_not_given_out():
    names = Pseudonyms()
    text = f"In the form [EMAIL_1] stands for {MAIL}."
    hidden = names.hide(text)
    assert hidden == "In the form [EMAIL_1] stands for [EMAIL_2]."
    assert names.restore(hidden) == text


def test_text_that_looks_like_a_token_in_use_is_hidden_itself():
    names = Pseudonyms()
    names.hide(MAIL)
    other = "The template says [EMAIL_1], [email 1] and EMAIL_1."
    hidden = names.hide(other)
    assert "EMAIL" not in hidden.upper()
    assert hidden == "The template says [TEXT_1], [TEXT_2] and [TEXT_3]."
    assert names.restore(hidden) == other


def test_values_that_look_like_tokens_are_not_looked_at_again():
    names = Pseudonyms(known={"person": ["[EMAIL_1]"]})
    hidden = names.hide(f"{MAIL} and x[EMAIL_1]x")
    assert names.restore(hidden) == f"{MAIL} and x[EMAIL_1]x"


def test_known_names_are_hidden_as_whole_words_in_any_case_the_longest_first():
    names = Pseudonyms(known={"person": ["Ann", "Ann Example"]})
    names.add("customer_number", "K-4711")
    hidden = names.hide("ann example, ANN, Annual report of K-4711, Ann Example")
    assert hidden == "[PERSON_1], [PERSON_2], Annual report of [CUSTOMER_NUMBER_1], [PERSON_3]"
    assert names.restore(hidden) == "ann example, ANN, Annual report of K-4711, Ann Example"
    names.add("person", "", "  ")
    assert names.hide("nothing") == "nothing"


def test_only_the_wanted_kinds_are_hidden():
    assert Pseudonyms(["phone"]).hide(f"{MAIL} {PHONE}") == f"{MAIL} [PHONE_1]"
    with pytest.raises(ConfigurationError, match="'mail'"):
        Pseudonyms(["mail"])
    with pytest.raises(ConfigurationError, match="'per son' is no kind"):
        Pseudonyms(known={"per son": ["x"]})


def test_only_the_allowed_tokens_are_restored():
    names = Pseudonyms()
    names.hide(f"{MAIL} bob@example.org")
    assert names.tokens_in("[EMAIL_1] [email 2] [EMAIL_3]") == {"[EMAIL_1]", "[EMAIL_2]"}
    assert names.restore("[EMAIL_1] [EMAIL_2]", only={"[EMAIL_2]"}) == "[EMAIL_1] bob@example.org"


@pytest.mark.parametrize("around", ["{}", "Here you are:\n```json\n{}\n```\nBye [PERSON_1]", "Sure! {} Anything else?"])
def test_inside_json_values_are_escaped_and_elsewhere_not(around):
    value = 'Ann "the\\boss"\nExample'
    names = Pseudonyms(known={"person": [value]})
    token = names.hide(value)
    answer = names.restore(around.replace("{}", json.dumps({"who": token, "list": [f"a {token}"]})))
    found = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
    assert found == {"who": value, "list": [f"a {value}"]}
    assert answer.endswith(value) == around.endswith("[PERSON_1]")


def test_what_came_out_of_json_escaped_goes_back_as_it_was():
    names = Pseudonyms()
    text = json.dumps({"key": "-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----\n"})
    hidden = names.hide(text)
    assert "MIIE" not in hidden
    assert names.restore(hidden) == text


def test_an_answer_that_is_no_json_in_spite_of_its_braces_is_restored_all_the_same():
    names = Pseudonyms(known={"person": ['A "B"']})
    names.hide('A "B"')
    assert names.restore("{ [PERSON_1] and [" + "[" * 100) == '{ A "B" and [' + "[" * 100


def test_the_table_shows_nowhere_and_goes_nowhere():
    names = Pseudonyms(known={"person": ["Ann Example"]})
    names.hide(f"Ann Example {MAIL}")
    assert repr(names) == "Pseudonyms(2 values)"
    assert MAIL not in str(names)
    for send in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="stay in the memory"):
            send(names)


def test_threads_share_one_table():
    names = Pseudonyms()
    texts = [f"user{n % 50}@example.org and user{(n * 7) % 50}@example.org" for n in range(400)]
    with ThreadPoolExecutor(8) as pool:
        hidden = list(pool.map(names.hide, texts))
    assert len(names) == 50
    assert [names.restore(text) for text in hidden] == texts


def test_json_like_data_is_mapped_with_its_keys_and_whole_numbers():
    names = Pseudonyms()
    data = {MAIL: {"card": 4111111111111111, "n": [1, True, None, 2.5, f"to {PHONE}"]}}
    hidden = hide_values(names, data)
    assert hidden == {"[EMAIL_1]": {"card": "[CREDIT_CARD_1]", "n": [1, True, None, 2.5, "to [PHONE_1]"]}}
    assert restore_values(names, hidden) == {
        MAIL: {"card": "4111111111111111", "n": [1, True, None, 2.5, f"to {PHONE}"]}
    }


PIECES = [
    MAIL,
    PHONE,
    "[EMAIL_1]",
    "EMAIL_1",
    "[email 1]",
    "[",
    "]",
    "_",
    "1",
    "\\",
    "EMAIL",
    "PHONE_2",
    "[TEXT_1]",
    " ",
    "-",
    "a",
]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8), min_size=1, max_size=4))
def test_whatever_is_hidden_comes_back_in_every_order_of_texts(lists):
    names = Pseudonyms(known={"person": ["Ann"]})
    texts = ["".join(pieces) for pieces in lists]
    hidden = [names.hide(text) for text in texts]
    assert [names.restore(text) for text in hidden] == texts


@given(st.text())
def test_any_text_comes_back(text):
    names = Pseudonyms()
    assert names.restore(names.hide(text)) == text
