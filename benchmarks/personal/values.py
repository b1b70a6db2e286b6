"""Made-up personal data with right check digits, by formulas of their own: the detector's are not asked here."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

FIRST = (
    "anna",
    "ben",
    "carla",
    "david",
    "elif",
    "farid",
    "greta",
    "hugo",
    "ines",
    "jan",
    "karim",
    "lena",
    "marc",
    "nina",
    "olga",
    "paul",
    "rosa",
    "sven",
    "tara",
    "uwe",
)
LAST = (
    "weber",
    "smith",
    "rossi",
    "dupont",
    "novak",
    "garcia",
    "jansen",
    "silva",
    "larsson",
    "kowalski",
    "o'neil",
    "yilmaz",
    "meyer",
    "brown",
    "costa",
)
HOSTS = (
    "example.com",
    "example.org",
    "mail.example.net",
    "example.co.uk",
    "firma.example",
    "posta.example.it",
    "büro.example",
)


def digits(r: Random, count: int, first: str = "0123456789") -> str:
    """So many digits."""
    return r.choice(first) + "".join(r.choice("0123456789") for _ in range(count - 1)) if count else ""


def letters(r: Random, count: int, of: str = string.ascii_uppercase) -> str:
    """So many letters."""
    return "".join(r.choice(of) for _ in range(count))


def summed(text: str, weights: tuple[int, ...]) -> int:
    """The sum of digits times weights."""
    return sum(int(c) * w for c, w in zip(text, weights, strict=True))


def luhn(body: str) -> str:
    """The body with Luhn's digit behind it."""
    total = 0
    for place, c in enumerate(reversed(body)):
        d = int(c) * (2 if place % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return body + str((10 - total % 10) % 10)


def date(r: Random, order: str) -> str:
    """A day of the years 1940 to 1999, by `y`, `m` and `d`."""
    parts = {"y": f"{r.randint(40, 99)}", "m": f"{r.randint(1, 12):02}", "d": f"{r.randint(1, 28):02}"}
    return "".join(parts[c] for c in order)


def until(make: Callable[[], str | None]) -> str:
    """The first number that can be given out: some bodies have no check digit."""
    while True:
        made = make()
        if made is not None:
            return made


def grouped(text: str, sizes: str, sep: str = " ") -> str:
    """The text in groups of these sizes."""
    parts, place = [], 0
    for size in map(int, sizes):
        parts.append(text[place : place + size])
        place += size
    return sep.join(parts)


def email(r: Random, held: bool) -> str:
    """An address."""
    first, last, host = r.choice(FIRST), r.choice(LAST), r.choice(HOSTS)
    if held:
        return r.choice([
            f"{first[0]}{last}@{host}", f"{first}-{last}{r.randint(1, 99)}@{host}", f"{last}_{first}@intra.{host}",
            f"{first.title()}.{last.title()}@{host.upper()}", f"{first} [at] {host.replace('ü', 'ue')}",
        ])  # fmt: skip
    return r.choice(
        [f"{first}.{last}@{host}", f"{first}@{host}", f"{first}+news@{host}", f"{first} (at) example (dot) org"]
    )


TUNED_PHONES = (
    "+1 (###) 555-####", "+1-###-555-####", "(###) 555-####", "###-555-####", "+44 20 79## ####", "020 79## ####",
    "07### ######", "+49 30 ######", "+49 171 #######", "030 ######", "0171 #######", "+33 1 ## ## ## ##",
    "01 ## ## ## ##", "06 ## ## ## ##", "+34 6## ### ###", "+39 06 #### ####", "+31 20 ### ####", "020-#######",
    "+48 6## ### ###", "+55 11 9####-####", "(11) 9####-####", "+46 8 ### ### ##",
)  # fmt: skip
HELD_PHONES = (
    "+1.###.555.####", "1-###-555-####", "###.555.####", "+44 (0)7### ######", "(0161) ### ####", "+4930######",
    "0049 40 #######", "089/######", "(040) ######-##", "+33 (0)6 ## ## ## ##", "0#########", "06.##.##.##.##",
    "+34 91 ### ## ##", "91 ### ## ##", "+39 3## ### ####", "+32 4## ## ## ##", "04## ## ## ##", "+41 79 ### ## ##",
    "079 ### ## ##", "+43 664 #######", "+351 9## ### ###", "+91 98### #####", "+81 90-####-####", "090-####-####",
    "+61 4## ### ###", "04## ### ###", "+1 ### 555 #### ext. ###", "+7 9## ###-##-##", "+47 9## ## ###",
)  # fmt: skip


def phone(r: Random, held: bool) -> str:
    """A phone number in a common way of writing."""
    shape = r.choice(HELD_PHONES if held else TUNED_PHONES)
    shape = "06########" if shape == "0#########" else shape
    return "".join(r.choice("23456789") if c == "#" else c for c in shape)


CARDS = (
    ("4", 16), ("51", 16), ("53", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14),
    ("62", 16),
)  # fmt: skip


def card(r: Random, held: bool) -> str:
    """A card number."""
    prefix, length = r.choice(CARDS)
    number = luhn(prefix + digits(r, length - len(prefix) - 1))
    sizes = {16: "4444", 15: "465", 14: "464"}[length]
    return r.choice([number, grouped(number, sizes, "-" if held else " ")])


IBANS = (
    "AT:n16 BE:n12 CH:n5c12 CZ:n20 DE:n18 DK:n14 ES:n20 FI:n14 FR:n10c11n2 GB:a4n14 IE:a4n14 IT:a1n10c12 NL:a4n10 "
    "NO:n11 PL:n24 PT:n21 SE:n20"
)


def iban(r: Random, held: bool) -> str:
    """An account number."""
    country, shape = r.choice(IBANS.split()).split(":")
    body = ""
    for kind in ("n", "a", "c"):
        shape = shape.replace(kind, f" {kind}")
    for part in shape.split():
        of = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}[part[0]]
        body += letters(r, int(part[1:]), of)
    check = 98 - int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
    whole = f"{country}{check:02}{body}"
    spaced = " ".join(whole[place : place + 4] for place in range(0, len(whole), 4))
    return r.choice([whole, spaced.replace(" ", "\u00a0") if held else spaced])


def ssn(r: Random, held: bool) -> str:
    """A Social Security number."""
    whole = f"{r.randint(1, 665):03}-{r.randint(1, 99):02}-{r.randint(1, 9999):04}"
    return whole.replace("-", " ") if held else whole


def ip(r: Random, held: bool) -> str:
    """An address of a machine."""
    four = ".".join(str(r.randint(1, 254)) for _ in range(4))
    four = "10" + four[four.index(".") :] if four.startswith(("127.", "255.")) else four
    hexes = [f"{r.randint(1, 65535):x}" for _ in range(6)]
    six = f"2001:db8:{':'.join(hexes)}" if r.random() < 0.5 else f"2a02:{hexes[0]}::{hexes[1]}"
    return r.choice([four, six if not held else f"fe80::{hexes[2]}:{hexes[3]}"])


def mac(r: Random, held: bool) -> str:
    """An address of a network card."""
    pairs = ["00", *(f"{r.randint(1, 254):02x}" for _ in range(5))]
    return "-".join(pairs).upper() if held else ":".join(pairs)


def credential(r: Random, held: bool) -> tuple[str, str]:
    """A text with a secret in it, and the secret."""
    word = letters(r, 20, string.ascii_letters + string.digits) + "7x"
    if held:
        return r.choice([(f"DB_PASSWORD={word}", word), (f"mysql://root:{word}@db.example.com/shop", word),
                         (f'"client_secret": "{word}"', word), (f"glpat-{word}", f"glpat-{word}"),
                         (f"AKIA{letters(r, 16)}", ""), (f"https://x.example/y?sig={word}", word)])  # fmt: skip
    return r.choice([(f"password: {word}", word), (f"postgres://app:{word}@db.example.com/x", word),
                     (f"api_key = '{word}'", word), (f"sk-{word}", f"sk-{word}"), (f"ghp_{word}", f"ghp_{word}"),
                     (f"Authorization: Bearer {word}", f"Bearer {word}")])  # fmt: skip
