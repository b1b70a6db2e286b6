from __future__ import annotations

import base64
import dataclasses
import json
import time
import traceback
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from fmf_core import redact as module
from fmf_core.redact import (
    Blanking,
    add_named_secrets,
    add_secret,
    add_secrets_of_address,
    bare_address,
    blank_by_fingerprints,
    blank_error,
    blank_known,
    fingerprints,
    redact,
    redact_value,
    shortened,
    suspicious,
    without_secrets,
)
from fmf_core.secret_shapes import MASK, secret_key


@pytest.fixture(autouse=True)
def no_secrets_left_behind(monkeypatch):
    monkeypatch.setattr(module, "_known", type(module._known)())


SHAPES = [
    ("sk-abcdefghijklmnopqrstuvwx", ""),
    ("sk-proj-abc_DEF-123456789", ""),
    ("sk-ant-api03-abcdef-123", ""),
    ("AKIAIOSFODNN7EXAMPLE", ""),
    ("ASIAIOSFODNN7EXAMPLE", ""),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", ""),
    ("gho_abcdefghijklmnopqrstuvwxyz0123456789", ""),
    ("github_pat_11ABCDEFG_abcdefghijklmnop", ""),
    ("glpat-abcdefghij0123456789", ""),
    ("hf_abcdefghijklmnopqrstuvwx", ""),
    ("xoxb-123456789012-abcdefghij", ""),
    ("AIzaSyA-abcdefghijklmnopqrstuvwxyz01234", ""),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123", ""),
    ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\nIBADANB\n-----END PRIVATE KEY-----", ""),
    ("-----BEGIN RSA PRIVATE KEY-----\\nMIIEvQ\\n-----END RSA PRIVATE KEY-----", ""),
    ("abcdef123456", "Bearer {}"),
    ("dXNlcjpwYXNzd29yZA==", "Authorization: Basic {}"),
    ("abc.def.ghi-jkl", "authorization: bearer {}"),
    ("abcdef123456", '{{"Authorization": "Bearer {}"}}'),
    ("abcdef123456", '{{\\"authorization\\": \\"{}\\"}}'),
    ("abcdef123456", "[(b'authorization', b'{}')]"),
    ("p4ss:w0rd", "postgres://user:{}@host:5432/db"),
    ("hunter2", "redis://:{}@cache"),
    ("abc+/def==", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core"),
    ("S3cret!", "Server=tcp:x;User ID=u;Password={};Encrypt=yes"),
    ("hunter2", "pwd={}"),
    ("hunter2", '{{"password": "{}", "user": "u"}}'),
    ("hunter 2, with words", "{{'client_secret': '{}'}}"),
    ("wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY={}"),
    ("abcd1234", "api_key: {}"),
    ("abcd1234", "x-api-key: {}"),
    ("FwoGZXIvYXdz", "aws_session_token={}"),
    ("abcdefgh12", "https://host/path?sig={}&x=1"),
    ("abcdefgh12", "https://host/path?token={}"),
]


@pytest.mark.parametrize(("secret", "frame"), SHAPES)
@pytest.mark.parametrize("around", ["{}", "before {} after", "error: {}, retry", "({})"])
def test_what_looks_like_a_secret_is_blanked(secret, frame, around):
    text = around.format(frame.format(secret) if frame else secret)
    assert suspicious(text)
    assert secret not in redact(text)
    assert MASK in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "The token count is 5: max_tokens=100, prompt_tokens: 20, tokens_per_minute=1000",
        "A task-based, risk-averse approach with sk-learn in Asia and the bearer of good news",
        "Enter your password, dear secretary; the password must be long",
        "Bearer authentication failed: the bearer token is missing",
        "The secret of success: hard work. Author: Ann",
        "https://example.com:8080/path?x=1#y and mail ann@example.com",
        "keys: monkey, donkey; key=value; turnkey: yes",
        "api_key: ${OPENAI_API_KEY} password=None secret=null",
        "high through eight; ghost; xoxo; signature dish; insignificant",
        "a token: hello",
        "git@github.com:owner/name.git",
    ],
)
def test_ordinary_words_stay(text):
    assert redact(text) == text


def test_json_stays_json():
    text = json.dumps({"password": 'a"b\\c', "n": [{"api_key": "xyz", "text": "Bearer abcdefgh123"}]})
    assert json.loads(redact(text)) == {"password": MASK, "n": [{"api_key": MASK, "text": f"Bearer {MASK}"}]}


class TestRegisteredValues:
    SECRET = 'my "own" sécret/+?&\\value'

    @pytest.mark.parametrize(
        "spelled",
        [
            lambda secret: secret,
            lambda secret: quote(secret, safe=""),
            lambda secret: quote_plus(secret),
            lambda secret: json.dumps(secret),
            lambda secret: json.dumps(secret, ensure_ascii=False),
            lambda secret: json.dumps({"deep": [secret]}),
            repr,
            lambda secret: base64.b64encode(secret.encode()).decode(),
            lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
            lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
            lambda secret: base64.b64encode(f"some:{secret}:more".encode()).decode(),
            lambda secret: base64.b64encode(f"us:{secret}".encode()).decode(),
        ],
    )
    def test_are_blanked_however_they_are_spelled(self, spelled):
        add_secret(self.SECRET)
        text = f"before {spelled(self.SECRET)} after"
        assert suspicious(text)
        assert MASK in redact(text)
        for form in (self.SECRET, quote(self.SECRET), base64.b64encode(self.SECRET.encode()).decode()):
            assert form not in redact(text)

    @pytest.mark.parametrize("value", ["", "abc", b"abc", SecretStr("x"), "null", "EMPTY", "ollama", "not-needed"])
    def test_short_ones_and_placeholders_are_ignored(self, value):
        add_secret(value)
        text = "abc x null EMPTY ollama not-needed"
        assert redact(text) == text

    @given(st.lists(st.integers(0, 90), max_size=8))
    def test_none_slips_through_where_a_text_is_cut(self, cuts):
        add_secret("hunter-and-gatherer")
        text = "a hunter-and-gatherer, then a hunter-and-gathererhunter-and-gatherer and a hunter-and"
        edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        blanking = Blanking()
        pieces = [blanking.feed(text[start:end]) for start, end in pairwise(edges)]
        assert "".join([*pieces, blanking.finish()]) == f"a {MASK}, then a {MASK}{MASK} and a hunter-and"

    def test_the_longest_goes_first(self):
        add_secret("hunter")
        add_secret(SecretStr("hunter-and-gatherer"))
        assert redact("a hunter-and-gatherer, a hunter") == f"a {MASK}, a {MASK}"

    def test_white_space_around_does_not_matter(self):
        add_secret(b"  hunter2000\n")
        assert redact("x hunter2000 y") == f"x {MASK} y"

    def test_lines_of_a_long_one_are_blanked_on_their_own(self):
        add_secret("-----BEGIN THING-----\nabcdefghijklmnop0123\nqrst\n-----END THING-----")
        assert redact("only abcdefghijklmnop0123 here") == f"only {MASK} here"
        assert redact("-----BEGIN THING-----") == "-----BEGIN THING-----"


class Credentials(BaseModel):
    user: str
    password: SecretStr
    api_key: str = "plain-text-key"


@dataclasses.dataclass
class Login:
    user: str
    token: str


class TestValues:
    def test_every_depth_and_kind(self):
        add_secret("hunter2000")
        value = {
            "list": [{"Authorization": "anything"}, ("a hunter2000", {"deep hunter2000": 1})],
            "model": Credentials(user="u", password="x"),
            "data": Login("u", "abc"),
            "error": ValueError("no hunter2000"),
            "bytes": b"x hunter2000 \xff",
            "set": {"hunter2000"},
            "secret": {"a": ["b", 3, True, None, ""]},
        }
        clean = redact_value(value)
        assert "hunter2000" not in repr(clean)
        assert clean["list"] == [{"Authorization": MASK}, (f"a {MASK}", {f"deep {MASK}": 1})]
        assert clean["model"] == {"user": "u", "password": MASK, "api_key": MASK}
        assert clean["data"] == {"user": "u", "token": MASK}
        assert clean["error"] == f"ValueError: no {MASK}"
        assert clean["bytes"] == f"x {MASK} ".encode() + b"\xff"
        assert clean["set"] == [MASK]
        assert clean["secret"] == {"a": [MASK, MASK, True, None, ""]}
        assert value["list"][0] == {"Authorization": "anything"}

    def test_counts_stay(self):
        usage = {"max_tokens": 5, "prompt_tokens": 6, "tokens_per_minute": 7, "token_count": 8, "completion_tokens": 9}
        assert redact_value(usage) == usage

    def test_circles_end(self):
        circle: list[object] = []
        circle.append(circle)
        assert MASK in repr(redact_value(circle))
        knot: dict[str, object] = {}
        knot["password"] = knot
        assert MASK in repr(redact_value(knot))

    def test_foreign_objects_are_left_as_they_are(self):
        thing = object()
        assert redact_value([thing]) == [thing]


@pytest.mark.parametrize(
    "key",
    ["password", "PASSWORD", "db_password", "api_key", "apiKey", "X-Api-Key", "Authorization", "client_secret", "token",
     "access_token", "refreshToken", "aws_secret_access_key", "AccountKey", "private_key", "credentials", "Set-Cookie"],
)  # fmt: skip
def test_keys_that_hold_secrets(key):
    assert secret_key(key)


@pytest.mark.parametrize(
    "key",
    ["max_tokens", "tokens", "prompt_tokens", "tokens_per_minute", "next_token", "page_token", "token_count", "key",
     "key_fields", "primary_key", "secret_mapping", "author", "passed", "kms_key_id", "eos_token", "tokenizer", ""],
)  # fmt: skip
def test_keys_that_do_not(key):
    assert not secret_key(key)


@given(st.text())
@example("private key-----")
def test_text_that_is_not_suspicious_is_not_changed(text):
    assert suspicious(text) or redact(text) == text


@given(st.text(), st.sampled_from(SHAPES), st.text())
def test_nothing_around_a_secret_protects_it(before, shape, after):
    secret, frame = shape
    text = f"{before} {frame.format(secret) if frame else secret} {after}"
    assert suspicious(text)
    if not any(mark in before for mark in "\"'\\"):
        assert secret not in redact(text)


@given(st.text(min_size=module.SHORTEST_SECRET), st.text(), st.text())
def test_a_registered_value_never_gets_through(secret, before, after):
    known = module._known
    module._known = type(known)()
    try:
        add_secret(secret)
        assert secret in MASK or secret not in redact(before + secret + after).replace(MASK, "\0")
    finally:
        module._known = known


@pytest.mark.parametrize(
    "unit",
    ["a", "sk-", "eyJ", "password", "password=", "a_", "://", "://a:", "Bearer ", '"password": "',
     "-----BEGIN PRIVATE KEY-----", "authorization: ", "secret_" * 3, "token", "\\", "a-a_"],
)  # fmt: skip
def test_hostile_text_costs_no_more_than_its_length(unit):
    text = unit * (200_000 // len(unit)) + " password sk- :// bearer authorization secret"
    before = time.process_time()
    redact(text)
    assert time.process_time() - before < 5


def test_a_beginning_shows_no_piece_of_a_secret_that_the_cut_runs_through():
    secret = "Sesame-0123456789-qwertyuiop"
    add_secret(secret)
    for before in (90, 95, 100):
        shown = shortened("n" * before + secret + " and more", 100)
        assert shown.startswith("n" * before)
        assert "Ses" not in shown
        assert len(shown) <= 101
    assert shortened("short", 100) == "short"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:Pa55word@host:8443/v1", "https://host:8443/v1"),
        ("https://host/v1?code=Pa55word#Pa55word", "https://host/v1"),
        ("http://user:Pa55word://x@host/v1", "http://host/v1"),
        ("http://user:Pa55word/x@host/v1", "http://host/v1"),
        ("http://host/v1?code=Pa55word@x", "http://…"),
        ("user:Pa55word@host:1:2", "host:1:2"),
        ("http://host/v1 ?code=Pa55word", "http://host/v1 "),
    ],
)
def test_an_address_is_shown_without_its_secrets(address, shown):
    assert bare_address(address) == shown


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("http://user:Pa55%2Bword@proxy:3128", "Pa55+word"),
        ("http://user:Pa55%2Bword@proxy:3128", base64.b64encode(b"user:Pa55+word").decode()),
        ("user:Pa55word@proxy:port", "Pa55word"),
        ("https://host/v1?api-version=2024-10-21&code=Pa55word", "Pa55word"),
    ],
)
def test_the_secrets_in_an_address_are_blanked(address, secret):
    add_secrets_of_address(address)
    assert redact(f"<{secret}>").rstrip("=>") == f"<{MASK}"
    assert redact("2024-10-21 host proxy user") == "2024-10-21 host proxy user"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-gateway-key", "Pa55-word-1234"),
        ("Cookie", "theme=dark; sid=Pa55-word-1234"),
        ("helicone-auth", "Bearer Pa55-word-1234"),
    ],
)
def test_headers_that_are_secret_by_their_name_are_blanked(name, value):
    add_named_secrets({name: value, "x-team": "documents-team-7", "author": "somebody-7"})
    assert redact("<Pa55-word-1234>") == f"<{MASK}>"
    assert redact("Bearer of documents-team-7, somebody-7") == "Bearer of documents-team-7, somebody-7"


def test_an_exception_of_somebody_else_is_blanked_in_place():
    add_secret("Pa55-word-1234")
    error = OSError(5, "with Pa55-word-1234", "/Pa55-word-1234")
    error.response = {"said": ["Pa55-word-1234"]}
    error.add_note("Pa55-word-1234")
    blank_error(error)
    assert "Pa55" not in str(error) + repr(error.args) + repr(vars(error))
    assert (error.errno, MASK in str(error)) == (5, True)


def test_of_a_long_text_little_is_searched_for_shapes_and_all_for_registered_secrets(monkeypatch):
    searched = []
    monkeypatch.setattr(module, "redact", lambda text: searched.append(len(text)) or redact(text))
    secret = "Sesame-" * 4000
    add_secret(secret)
    assert shortened(f"n{secret} and more, " + "a-" * 500_000, 100).startswith(f"n{MASK} and more, a-a-")
    assert max(searched) <= 100 + module.MOST_SEARCHED


def test_a_cause_shows_no_secret_wherever_in_its_chain_it_stands():
    class Settings(BaseModel):
        number: int

    key = "sk-proj-" + "a1B2c3D4" * 6
    add_secret(key)
    with pytest.raises(ValidationError) as unchangeable:
        Settings(number=key)
    outer, inner = ValueError(f"not {key}"), KeyError(key)
    outer.__cause__, inner.__context__ = inner, unchangeable.value
    cause = without_secrets(outer)
    assert cause is outer
    assert outer.__cause__ is inner
    shown = "".join(traceback.format_exception(cause))
    assert key not in shown
    assert "Settings" in shown
    assert key not in str(without_secrets(unchangeable.value))


def test_secrets_are_blanked_by_fingerprints_that_do_not_tell_them():
    add_secret("hunter2-and-more")
    found = fingerprints()
    assert all(len(each.beginning) <= 4 for each in found.of)
    module._known.forms = ()
    assert blank_known("say hunter2-and-more!") == "say hunter2-and-more!"
    blank_by_fingerprints(found)
    text = "hunt hunter2-and-mor hunter2-and-more hunter2-and-more."
    assert blank_known(text) == f"hunt hunter2-and-mor {MASK} {MASK}."
    assert "hunter2" not in repr(found)


@given(st.lists(st.integers(0, 60), max_size=8))
def test_pieces_are_blanked_by_fingerprints_whatever_their_borders(cuts):
    known = module._known
    module._known = type(known)()
    try:
        add_secret("s3cr3t-value")
        blank_by_fingerprints(fingerprints())
        module._known.forms = ()
        text = "a s3cr3t-value and s3cr3t-values3cr3t-value at the end"
        borders = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
        blanking = Blanking()
        out = "".join(blanking.feed(text[a:b]) for a, b in pairwise(borders)) + blanking.finish()
        assert out == text.replace("s3cr3t-value", MASK)
    finally:
        module._known = known
