"""What secrets look like in text: one row for each shape, and the keys under which they stand."""

from __future__ import annotations

import re
from functools import lru_cache

MASK = "[REDACTED]"
"""What takes the place of a secret."""

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
_NAMED = (
    rf"(?i)(?<![A-Za-z0-9])({_NAMES}\\*[\"']?\s{{0,3}}[:=,]\s{{0,3}}{_BYTES}\\*[\"']){_IN_QUOTES}"
    rf"|(?<![A-Za-z0-9])({_NAMES}\s?=\s?)(?-i:{_PLAIN}){_END}{{1,4096}}"
    rf"|(?<![A-Za-z0-9])({_NAMES}:\s{{0,3}})(?-i:{_PLAIN}){_WORD}{_END}{{4,4096}}"
)
_SCHEME_WORDS = (
    r"(?!(?:auth\w*|tokens?|schemes?|credentials?|certificates?|realm|errors?|headers?|formats?|types?|methods?|flows?"
    r"|bonds?|shares?|values?|is|was|and|or|of|the|must|not|required)\b)"
)
_BEARER = rf"(?i)\b(bearer[ \t]+[\"']?)(?-i:{_PLAIN}){_SCHEME_WORDS}{_TOKEN}{{6,}}"
_HEADER = (
    rf"(?i)(?<![A-Za-z0-9])((?:proxy-)?authorization\\*[\"']?\s{{0,3}}[:=,]\s{{0,3}}{_BYTES}(?:\\*[\"'])?)"
    rf"(?:{_IN_QUOTES}|(?-i:{_PLAIN})(?:(?:bearer|basic|digest|token|apikey|negotiate|aws4-hmac-sha256)[ \t]+)?{_END}+)"
)
_WHOLE = rf"{MASK}"
_VALUE = rf"\1\2\3{MASK}"

# Each row: a mark that every match contains in lower case, the pattern, what takes its place. Looking for the marks is
# what makes harmless text cheap; no pattern backtracks over more than a bounded stretch. A pattern is compiled when its
# mark is met for the first time: all of them would take a good part of the time that an import may take.
SHAPES: tuple[tuple[str, str, str], ...] = (
    (
        "private key-----",
        r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
        _WHOLE,
    ),
    ("sk-", r"(?<![A-Za-z0-9])sk-(?!learn)[A-Za-z0-9_*-]{6,}", _WHOLE),
    ("akia", r"(?<![A-Za-z0-9])AKIA[0-9A-Z]{12,}", _WHOLE),
    ("asia", r"(?<![A-Za-z0-9])ASIA(?=[A-Z]*[0-9])[0-9A-Z]{12,}", _WHOLE),
    *((f"gh{kind}_", rf"(?<![A-Za-z0-9])gh{kind}_[A-Za-z0-9]{{10,}}", _WHOLE) for kind in ("p", "o", "u", "s", "r")),
    ("github_pat_", r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{10,}", _WHOLE),
    ("glpat-", r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{10,}", _WHOLE),
    ("hf_", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}", _WHOLE),
    ("xox", r"(?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]{8,}", _WHOLE),
    ("aiza", r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{20,}", _WHOLE),
    ("eyj", r"(?<![A-Za-z0-9])eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?", _WHOLE),
    ("authorization", _HEADER, rf"\1{MASK}"),
    ("bearer", _BEARER, rf"\1{MASK}"),
    ("://", r"(://[^\s:/@\"'<>]{0,256}:)(?!\$\{)[^\s/\"'<>]{1,512}@", rf"\1{MASK}@"),
    (
        "sig",
        rf"(?i)([?&;](?:sig|signature|x-amz-signature|x-amz-security-token)=){_PLAIN}{_END}{{8,}}",
        rf"\1{MASK}",
    ),
    ("token=", rf"(?i)([?&;]token=){_PLAIN}{_END}{{8,}}", rf"\1{MASK}"),
    ("key=", rf"(?i)([?&;]key=){_PLAIN}{_END}{{8,}}", rf"\1{MASK}"),
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
_SECRET_WORDS = re.compile(
    r"(?:key|token|secret|auth|authorization|cookie|password|passwd|passphrase|pwd|pass|credentials?|sig|signature"
    r"|code|jwt|session|bearer|sas)(?:[^a-z]|$)"
)
_COUNTED = (
    # what ends in "token" and is no secret has one of these before it
    r"(?<!next)(?<!page)(?<!continuation)(?<!first)(?<!last)(?<!per)(?<!eos)(?<!bos)(?<!pad)(?<!unk)(?<!sep)(?<!cls)"
    r"(?<!mask)(?<!stop)(?<!special)(?<!prompt)(?<!completion)(?<!input)(?<!output)(?<!max)(?<!min)token$"
)


def marked(lowered: str) -> bool:
    """Whether text in lower case may contain any of the shapes: a few searches instead of all the patterns."""
    # Parts of the marks above, written out because a loop over them takes four times as long, on every line logged.
    return (
        "key" in lowered or "pass" in lowered or "pwd" in lowered or "secret" in lowered or "credential" in lowered
        or "://" in lowered or "sk-" in lowered or "authorization" in lowered or "bearer" in lowered
        or "sig=" in lowered or "signature=" in lowered or "sharedaccess" in lowered or "eyj" in lowered
        or "akia" in lowered or "asia" in lowered or "aiza" in lowered or "xox" in lowered or "hf_" in lowered
        or "pat_" in lowered or "pat-" in lowered or "ghp_" in lowered or "gho_" in lowered or "ghu_" in lowered
        or "ghs_" in lowered or "ghr_" in lowered
        or ("token" in lowered and "token" in lowered.replace("tokens", ""))
    )  # fmt: skip


@lru_cache(maxsize=128)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled once."""
    return re.compile(pattern)


@lru_cache(maxsize=4096)
def secret_key(key: str) -> bool:
    """Whether values under `key` are secrets by the key's own words (`api_key`, `Authorization`, not `max_tokens`)."""
    compact = re.sub(r"[^a-z0-9]", "", key.lower())
    return compact.endswith(_SECRET_KEYS) or compiled(_COUNTED).search(compact) is not None


def secret_name(name: str) -> bool:
    """Whether a header or a parameter of an address holds a secret by its name (`x-gateway-key`, `cookie`, `code`)."""
    return _SECRET_WORDS.search(name.lower()) is not None
