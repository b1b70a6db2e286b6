"""What must never reach a log, a trace or an artefact: secret values, secret shapes and personal data."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import threading
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretBytes, SecretStr

from fmf_core.personal import detect_pii, redact_pii

__all__ = ["MASK", "add_secret", "detect_pii", "redact", "redact_pii", "redact_value", "secret_key", "suspicious"]

MASK = "[REDACTED]"
SHORTEST_SECRET = 4
"""Registered values under this many characters are ignored: they would blank ordinary text."""
SHORTEST_LINE = 16
"""Lines of a registered value of several lines are blanked on their own from this length on."""
DEEPEST = 32
"""How many levels of nesting `redact_value` follows; what lies deeper is masked."""

_TOKEN = r"[A-Za-z0-9._~+/=-]"  # noqa: S105 - a pattern of tokens
_END = r"""[^\s,;&"'<>)\]}\\]"""
# A value that is plainly no secret: a reference, a mask, a word of the language the text is written in.
_PLAIN = r"(?!\$\{|\[REDACTED|\*\*|None\b|null\b|true\b|false\b|True\b|False\b|SecretStr)"
_WORD = r"""(?![A-Za-z]+[.!?:]*(?:[\s,;"')\]}]|$))"""
_BYTES = r"""(?:b(?=["']))?"""
# What stands between quotes, the opening one in the group before; the closing one stays, so that JSON stays JSON. After
# an escaped quote, as in JSON inside JSON, an escaped quote is the end; otherwise it is part of the value.
_IN_QUOTES = "(?:" + "|".join(
    rf"(?<=\\{quote_})(?:[^{quote_}\\\n]|\\[^{quote_}\n]){{1,4096}}|(?<!\\)(?<={quote_})(?<!\\{quote_})(?:[^{quote_}\\\n]|\\[^\n]){{1,4096}}"
    for quote_ in ('"', "'")
) + ")"  # fmt: skip
_NAMES = (
    r"(?:[A-Za-z0-9]{1,32}[_-]){0,4}"
    r"(?:password|passwd|passphrase|pwd|secret|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|account[_-]?key"
    r"|private[_-]?key|shared[_-]?access[_-]?(?:key|signature)|(?:access|refresh|auth|id|session|security)[_-]?token"
    r"|credentials?)"
)
_NAMED = re.compile(
    rf"(?i)(?<![A-Za-z0-9])({_NAMES}\\*[\"']?\s{{0,3}}[:=,]\s{{0,3}}{_BYTES}\\*[\"']){_IN_QUOTES}"
    rf"|(?<![A-Za-z0-9])({_NAMES}\s?=\s?)(?-i:{_PLAIN}){_END}{{1,4096}}"
    rf"|(?<![A-Za-z0-9])({_NAMES}:\s{{0,3}})(?-i:{_PLAIN}){_WORD}{_END}{{4,4096}}"
)
_SCHEME_WORDS = (
    r"(?!(?:auth\w*|tokens?|schemes?|credentials?|certificates?|realm|errors?|headers?|formats?|types?|methods?|flows?"
    r"|bonds?|shares?|values?|is|was|and|or|of|the|must|not|required)\b)"
)
_BEARER = re.compile(rf"(?i)\b(bearer[ \t]+[\"']?)(?-i:{_PLAIN}){_SCHEME_WORDS}{_TOKEN}{{6,}}")
_HEADER = re.compile(
    rf"(?i)(?<![A-Za-z0-9])((?:proxy-)?authorization\\*[\"']?\s{{0,3}}[:=,]\s{{0,3}}{_BYTES}(?:\\*[\"'])?)"
    rf"(?:{_IN_QUOTES}|(?-i:{_PLAIN})(?:(?:bearer|basic|digest|token|apikey|negotiate|aws4-hmac-sha256)[ \t]+)?{_END}+)"
)
_WHOLE = rf"{MASK}"
_VALUE = rf"\1\2\3{MASK}"

# Each row: a mark that every match contains in lower case, the pattern, what takes its place. Looking for the marks is
# what makes harmless text cheap; no pattern backtracks over more than a bounded stretch.
_SHAPES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "private key-----",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        _WHOLE,
    ),
    ("sk-", re.compile(r"(?<![A-Za-z0-9])sk-(?!learn)[A-Za-z0-9_*-]{6,}"), _WHOLE),
    ("akia", re.compile(r"(?<![A-Za-z0-9])AKIA[0-9A-Z]{12,}"), _WHOLE),
    ("asia", re.compile(r"(?<![A-Za-z0-9])ASIA(?=[A-Z]*[0-9])[0-9A-Z]{12,}"), _WHOLE),
    *(
        (f"gh{kind}_", re.compile(rf"(?<![A-Za-z0-9])gh{kind}_[A-Za-z0-9]{{10,}}"), _WHOLE)
        for kind in ("p", "o", "u", "s", "r")
    ),
    ("github_pat_", re.compile(r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{10,}"), _WHOLE),
    ("glpat-", re.compile(r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{10,}"), _WHOLE),
    ("hf_", re.compile(r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}"), _WHOLE),
    ("xox", re.compile(r"(?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]{8,}"), _WHOLE),
    ("aiza", re.compile(r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{20,}"), _WHOLE),
    ("eyj", re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?"), _WHOLE),
    ("authorization", _HEADER, rf"\1{MASK}"),
    ("bearer", _BEARER, rf"\1{MASK}"),
    ("://", re.compile(r"(://[^\s:/@\"'<>]{0,256}:)(?!\$\{)[^\s/\"'<>]{1,512}@"), rf"\1{MASK}@"),
    (
        "sig",
        re.compile(rf"(?i)([?&;](?:sig|signature|x-amz-signature|x-amz-security-token)=){_PLAIN}{_END}{{8,}}"),
        rf"\1{MASK}",
    ),
    ("token=", re.compile(rf"(?i)([?&;]token=){_PLAIN}{_END}{{8,}}"), rf"\1{MASK}"),
    *((mark, _NAMED, _VALUE) for mark in ("password", "passwd", "passphrase", "pwd", "secret")),
    *((mark, _NAMED, _VALUE) for mark in ("api_key", "api-key", "apikey", "access_key", "access-key", "accesskey")),
    *((mark, _NAMED, _VALUE) for mark in ("account_key", "account-key", "accountkey", "private_key", "privatekey")),
    *((mark, _NAMED, _VALUE) for mark in ("_token", "-token", "accesstoken", "sharedaccess", "credential")),
)

_SECRET_KEYS = (
    "password", "passwords", "passwd", "passphrase", "pwd", "secret", "secrets", "authorization", "credential",
    "credentials", "apikey", "apikeys", "accesskey", "accountkey", "privatekey", "secretkey", "sharedkey",
    "subscriptionkey", "sharedaccesssignature", "setcookie", "cookie", "cookies", "bearer",
)  # fmt: skip
_TOKEN_KEYS = re.compile(
    r"(?<!next)(?<!page)(?<!continuation)(?<!first)(?<!last)(?<!per)(?<!eos)(?<!bos)(?<!pad)(?<!unk)(?<!sep)(?<!cls)"
    r"(?<!mask)(?<!stop)(?<!special)(?<!prompt)(?<!completion)(?<!input)(?<!output)(?<!max)(?<!min)token$"
)


class _Known:
    """Every form of every registered value, the longest first: one that contains another must not leave a rest."""

    def __init__(self) -> None:
        self.forms: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def add(self, forms: set[str]) -> None:
        with self._lock:
            self.forms = tuple(sorted({*self.forms, *forms}, key=lambda form: (-len(form), form)))


_known = _Known()


def add_secret(value: str | bytes | SecretStr | SecretBytes) -> None:
    """Blank `value` from now on wherever it appears, also in its base64, URL-encoded and escaped forms.

    Values under `SHORTEST_SECRET` characters are ignored.
    """
    plain = value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value
    text = plain.decode("utf-8", "replace") if isinstance(plain, bytes) else plain
    forms = _forms_of(text) | _forms_of(text.strip())
    for line in text.splitlines():
        if len(line.strip()) >= SHORTEST_LINE and line.strip() != text and not line.startswith("-----"):
            forms |= _forms_of(line.strip())
    _known.add(forms)


def redact(text: str) -> str:
    """Return `text` with every registered secret and everything that looks like a secret replaced by a mask."""
    for form in _known.forms:
        if form in text:
            text = text.replace(form, MASK)
    lowered = text.lower()
    last: re.Pattern[str] | None = None
    for mark, pattern, replacement in _SHAPES:
        if mark in lowered and pattern is not last:
            text = pattern.sub(replacement, text)
            last = pattern
    return text


def suspicious(text: str) -> bool:
    """Whether `redact` might change `text`; cheap, and never wrongly false."""
    for form in _known.forms:
        if form in text:
            return True
    low = text.lower()
    # Parts of the marks above, written out because a loop over them takes four times as long, on every line logged.
    return (
        "key" in low or "pass" in low or "pwd" in low or "secret" in low or "credential" in low or "://" in low
        or "sk-" in low or "authorization" in low or "bearer" in low or "sig" in low or "sharedaccess" in low
        or "eyj" in low or "akia" in low or "asia" in low or "aiza" in low or "xox" in low or "glpat-" in low
        or "github_pat_" in low or "ghp_" in low or "gho_" in low or "ghu_" in low or "ghs_" in low or "ghr_" in low
        or "hf_" in low or ("token" in low and "token" in low.replace("tokens", ""))
    )  # fmt: skip


def redact_value(value: Any) -> Any:
    """Return a copy of `value` without secrets: strings redacted, values under secret keys masked, at any depth.

    Mappings, sequences, sets, dataclasses, pydantic models and exceptions are followed; other objects are returned as
    they are. Numbers under keys such as `max_tokens` stay.
    """
    return _redacted(value, 0)


@lru_cache(maxsize=4096)
def secret_key(key: str) -> bool:
    """Whether values under `key` are secrets by the key's own words (`api_key`, `Authorization`, not `max_tokens`)."""
    compact = re.sub(r"[^a-z0-9]", "", key.lower())
    return compact.endswith(_SECRET_KEYS) or _TOKEN_KEYS.search(compact) is not None


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
    if len(text) < SHORTEST_SECRET:
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
