from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmf_core.fingerprints import Fingerprints, fingerprints_of

MASK = "[gone]"
SECRETS = st.lists(st.text("abc-1é", min_size=6, max_size=12), max_size=4, unique=True)


@given(SECRETS, st.lists(st.text("abc-1é ", max_size=8), max_size=6), st.data())
def test_what_is_blanked_is_what_plain_replacing_blanks(secrets, words, data):
    secrets = sorted(secrets, key=lambda form: (-len(form), form))
    text = "".join(data.draw(st.permutations([*words, *secrets])))
    expected = text
    for secret in secrets:
        expected = expected.replace(secret, MASK)
    assert fingerprints_of(secrets).blank(text, MASK) == expected


def test_a_fingerprint_shows_a_third_of_a_secret_at_most():
    (short,) = fingerprints_of(["abcdef"]).of
    (long,) = fingerprints_of(["sk-a-very-long-secret"]).of
    assert (short.beginning, long.beginning) == ("ab", "sk-a")
    assert "long-secret" not in repr(fingerprints_of(["sk-a-very-long-secret"]))


def test_keys_are_drawn_anew():
    assert fingerprints_of(["abcdef"]).key != fingerprints_of(["abcdef"]).key
    assert fingerprints_of([]) == Fingerprints()
