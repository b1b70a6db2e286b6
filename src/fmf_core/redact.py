"""What must never reach a log, a trace or an artefact: secret values, secret shapes and personal data."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from pydantic import BaseModel, SecretBytes, SecretStr

from fmf_core.errors import chain_of
from fmf_core.fingerprints import Fingerprints, fingerprints_of
from fmf_core.forks import Lock
from fmf_core.secret_shapes import MASK, SHAPES, compiled, marked, secret_key, secret_name

SHORTEST_SECRET = 6
"""Registered values under this many characters are ignored: they would blank ordinary text."""
PLACEHOLDERS = frozenset(
    ("changeme", "default", "nokey", "no-key", "no-key-required", "not-needed", "notneeded", "ollama", "lm-studio")
)
"""What people give as key to servers that want none: ordinary words, and no secrets."""
SHORTEST_LINE = 16
"""Lines of a registered value of several lines are blanked on their own from this length on."""
SHORTEST_PART = 8
"""Parts of a header's value, such as one cookie of several, are blanked on their own from this length on."""
MOST_REDACTED = 1_000_000
"""How many characters behind a cut `shortened` looks through for registered secrets."""
MOST_SEARCHED = 16_384
"""How many of them it searches for what looks like a secret, which takes a thousand times as long."""
DEEPEST = 32
"""How many levels of nesting `redact_value` follows; what lies deeper is masked."""


class _Known:
    """Every form of every registered value, the longest first: one that contains another must not leave a rest."""

    def __init__(self) -> None:
        self.forms: tuple[str, ...] = ()
        self.fingerprints = Fingerprints()
        self.printed: tuple[tuple[str, ...], Fingerprints] = ((), Fingerprints())
        self._lock = Lock()

    @property
    def longest(self) -> int:
        """Characters of the longest form; 0 where none is known."""
        of_forms = len(self.forms[0]) if self.forms else 0
        return max(of_forms, *(found.length for found in self.fingerprints.of), 0)

    def add(self, forms: set[str]) -> None:
        with self._lock():
            if forms.issubset(self.forms):
                return
            self.forms = tuple(sorted({*self.forms, *forms}, key=lambda form: (-len(form), form)))


_known = _Known()


def add_secret(value: str | bytes | SecretStr | SecretBytes) -> None:
    """Blank `value` from now on wherever it appears, also in its base64, URL-encoded and escaped forms.

    Values under `SHORTEST_SECRET` characters and `PLACEHOLDERS` are ignored.
    """
    plain = value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value
    text = plain.decode("utf-8", "replace") if isinstance(plain, bytes) else plain
    forms = _forms_of(text) | _forms_of(text.strip())
    for line in text.splitlines():
        if len(line.strip()) >= SHORTEST_LINE and line.strip() != text and not line.startswith("-----"):
            forms |= _forms_of(line.strip())
    _known.add(forms)


def add_named_secrets(values: Mapping[str, str]) -> None:
    """Register the values of those headers or parameters whose names say that they are secret."""
    for name, value in values.items():
        if not secret_name(name):
            continue
        scheme, _, rest = value.strip().partition(" ")
        whole = rest.strip() if rest and scheme.isalpha() else value  # `Bearer` is no part of the secret
        add_secret(whole)
        for part in re.split(r"[\s;,=]+", whole):
            if len(part) >= SHORTEST_PART and not part.isalpha():
                add_secret(part)


def add_secrets_of_address(address: str) -> None:
    """Register the password in an address, alone and with its user, and the secrets among its parameters."""
    before, between, rest = address.partition("://")
    user, colon, password = (rest if between else before.lstrip("/")).rpartition("@")[0].partition(":")
    if colon:
        for secret in (password, unquote(password), f"{unquote(user)}:{unquote(password)}"):
            add_secret(secret)
    add_named_secrets(dict(parse_qsl(address.partition("?")[2].partition("#")[0])))


def bare_address(address: str) -> str:
    """The address as it may be shown: without user, password and parameters, also when it is malformed."""
    scheme, between, rest = address.partition("://")
    if not between:
        scheme, rest = "", address
    before, at, host = rest.rpartition("@")
    if at and "?" in before:
        return f"{scheme}{between}…"  # nobody can tell where its secrets end
    return scheme + between + re.split(r"[?#]", host, maxsplit=1)[0]


def blank_error(error: BaseException) -> None:
    """Blank every registered secret in the texts that `error` holds, so that its traceback shows none."""
    with suppress(Exception):  # somebody else's exception may not let itself be changed
        clean = tuple(blank_values(arg) for arg in error.args)
        if clean != error.args:
            error.args = clean
    for name in (*vars(error), "strerror", "filename", "filename2"):
        with suppress(Exception):
            value = getattr(error, name, None)
            if isinstance(value, str | dict | list) and (clean_value := blank_values(value)) != value:
                setattr(error, name, clean_value)


class BlankedError(Exception):
    """Stands for an exception whose text held a secret and could not be changed."""


def without_secrets(error: BaseException) -> BaseException:
    """`error` as a cause that may be logged: registered secrets are blanked in its texts and in all that led to it."""
    chain = list(chain_of(error))
    for found in chain:
        blank_error(found)
    stand_ins = {id(found): _stand_in(found) for found in chain if _shows_secrets(found)}
    for found in chain if stand_ins else ():
        context, suppressed = found.__context__, found.__suppress_context__
        if found.__cause__ is not None:
            found.__cause__ = stand_ins.get(id(found.__cause__), found.__cause__)
        if context is not None:
            found.__context__ = stand_ins.get(id(context), context)
        found.__suppress_context__ = suppressed
    return stand_ins.get(id(error), error)


def _shows_secrets(error: BaseException) -> bool:
    text = str(error)
    return blank_known(text) != text


def _stand_in(error: BaseException) -> BaseException:
    return BlankedError(redact(f"{type(error).__name__}: {error}")).with_traceback(error.__traceback__)


def blank_known(text: str) -> str:
    """Return `text` with every registered secret replaced by a mask, and nothing else changed.

    For what people read as data: a document may hold things that only look like secrets.
    """
    for form in _known.forms:
        if form in text:
            text = text.replace(form, MASK)
    return _known.fingerprints.blank(text, MASK)


def knows_secrets() -> bool:
    """Whether any secret is registered."""
    return _known.longest > 0


def fingerprints() -> Fingerprints:
    """What a process that reads other people's files needs to blank the secrets that are registered here."""
    forms, made = _known.printed
    if forms is not _known.forms:
        forms, made = _known.printed = (_known.forms, fingerprints_of(_known.forms))
    return made


def blank_by_fingerprints(of_others: Fingerprints) -> None:
    """Blank the secrets of another process from now on, as those that are registered in this one."""
    _known.fingerprints = of_others


class Blanking:
    """Blanks registered secrets in a text that comes in pieces, also those that a cut runs through.

    The end of what has come is held back until it is known whether a secret begins there.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """As much of the text so far as can be told, blanked."""
        longest = _known.longest
        if not longest:
            return piece
        text = blank_known(self._held + piece)
        keep = min(len(text), longest - 1)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held)

    def finish(self) -> str:
        """The rest of the text."""
        rest, self._held = self._held, ""
        return rest


def blank_values(value: Any) -> Any:
    """A copy of JSON-like data with every registered secret blanked in its texts; keys and numbers stay."""
    if isinstance(value, str):
        return blank_known(value)
    if isinstance(value, dict):
        return {key: blank_values(item) for key, item in value.items()}
    return [blank_values(item) for item in value] if isinstance(value, list) else value


def redact(text: str) -> str:
    """Return `text` with every registered secret and everything that looks like a secret replaced by a mask."""
    text = blank_known(text)
    lowered = text.lower()
    if not marked(lowered):
        return text
    last = ""
    for mark, pattern, replacement in SHAPES:
        if mark in lowered and pattern is not last:
            text = compiled(pattern).sub(replacement, text)
            last = pattern
    return text


def shortened(text: str, limit: int) -> str:
    """The first `limit` characters of `text` without secrets; a secret that the cut runs through is blanked as well.

    An ellipsis behind them says that there is more.
    """
    clean = redact(blank_known(text[: limit + MOST_REDACTED])[: limit + MOST_SEARCHED])
    return clean if len(clean) <= limit else f"{clean[:limit]}…"


def suspicious(text: str) -> bool:
    """Whether `redact` might change `text`; cheap, and never wrongly false."""
    return blank_known(text) != text or marked(text.lower())


class _Harmless:
    """Short texts that `redact` leaves as they are, as long as the same secrets are known."""

    texts: ClassVar[set[str]] = set()
    forms: ClassVar[tuple[str, ...]] = ()


_MOST_HARMLESS = 4096
_SHORT = 100


def harmless(text: str) -> bool:
    """Whether `redact` leaves `text` as it is; for texts that come again and again, such as names and ids of a run."""
    if _known.forms is not _Harmless.forms:
        _Harmless.texts, _Harmless.forms = set(), _known.forms
    known = _Harmless.texts
    if text in known:
        return True
    if suspicious(text):
        return redact(text) == text
    if len(text) <= _SHORT:
        if len(known) >= _MOST_HARMLESS:
            known.clear()
        known.add(text)
    return True


def redact_value(value: Any) -> Any:
    """Return a copy of `value` without secrets: strings redacted, values under secret keys masked, at any depth.

    Mappings, sequences, sets, dataclasses, pydantic models and exceptions are followed; other objects are returned as
    they are. Numbers under keys such as `max_tokens` stay.
    """
    return _redacted(value, 0)


def _redacted(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return redact(value)
    if value is None or kind in (int, float, bool):
        return value
    if depth > DEEPEST:
        return MASK
    return _redacted_other(value, depth + 1)


def _redacted_other(value: Any, depth: int) -> Any:  # noqa: C901, PLR0911 - one line for each kind of value
    match value:
        case str():
            return redact(str(value))
        case SecretStr() | SecretBytes():
            return MASK
        case Mapping():
            return {_redacted_key(key): _under(key, item, depth) for key, item in value.items()}
        case bytes() | bytearray():
            text = bytes(value).decode("latin-1")
            clean = redact(text)
            return value if clean == text else clean.encode("latin-1", "replace")
        case list():
            return [_redacted(item, depth) for item in value]
        case tuple():
            return tuple(_redacted(item, depth) for item in value)
        case AbstractSet():
            return [_redacted(item, depth) for item in value]
        case BaseException():
            return redact(f"{type(value).__name__}: {value}")
        case BaseModel():
            return {key: _under(key, item, depth) for key, item in value}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
            return {key: _under(key, item, depth) for key, item in fields}
        case _:
            return value


def _redacted_key(key: Any) -> Any:
    return redact(key) if isinstance(key, str) else key


def _under(key: Any, value: Any, depth: int) -> Any:
    if isinstance(key, str) and value is not None and not isinstance(value, bool) and secret_key(key):
        return _masked(value, depth)
    return _redacted(value, depth)


def _masked(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool) or value in ("", b""):
        return value
    if depth > DEEPEST:
        return MASK
    match value:
        case Mapping():
            return {_redacted_key(key): _masked(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | AbstractSet():
            return [_masked(item, depth + 1) for item in value]
        case _:
            return MASK


def _forms_of(text: str) -> set[str]:
    """Every spelling of a secret that may turn up where the secret itself went in."""
    if len(text) < SHORTEST_SECRET or text.lower() in PLACEHOLDERS:
        return set()
    raw = text.encode("utf-8", "surrogatepass")
    forms = {
        text,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    # As a part of something that was encoded as a whole, `user:password` for instance: three alignments, without the
    # characters that neighbours have a share in.
    for shift in (1, 2):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        core = encoded[shift + 1 : len(encoded) - 1]
        if len(core) >= SHORTEST_LINE:
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= SHORTEST_SECRET}
