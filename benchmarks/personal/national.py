"""Made-up numbers by which states know people, with right check digits, and the words that stand before them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from benchmarks.personal.values import date, digits, grouped, letters, luhn, summed, until


class Kind(NamedTuple):
    """One kind: how it is made, written in one set and in the other, and called in one and in the other."""

    make: Callable[[Random], str]
    tuned: Callable[[str], str]
    held: Callable[[str], str]
    tuned_words: tuple[str, ...]
    held_words: tuple[str, ...]
    alone: bool = False
    """Whether it is found without a word for it."""


def plain(text: str) -> str:
    """As it is."""
    return text


def mod11(r: Random, count: int, weights: tuple[int, ...], first: str = "123456789", ten: str | None = None) -> str:
    """Digits with 11 less the weighted sum modulo 11 behind them; `ten` stands for 10."""

    def make() -> str | None:
        body = digits(r, count, first)
        check = -summed(body, weights) % 11
        return body + str(check) if check < 10 else (body + ten if ten is not None else None)

    return until(make)


def nino(r: Random) -> str:
    return r.choice("ABCEHJLMPRSWXY") + r.choice("ABCEHJLMPRSWXY") + digits(r, 6) + r.choice("ABCD")


def steuer_id(r: Random) -> str:
    body = r.sample("0123456789", 9)
    body.insert(r.randint(1, 9), body[r.randint(0, 8)])
    text = "".join(body)
    if text[0] == "0":
        return steuer_id(r)
    product = 10
    for c in text:
        total = (int(c) + product) % 10
        product = (10 if total == 0 else total) * 2 % 11
    return text + str((11 - product) % 10)


def nir(r: Random) -> str:
    body = r.choice("12") + date(r, "ym") + f"{r.randint(1, 95):02}" + digits(r, 6)
    return f"{body}{97 - int(body) % 97:02}"


def dni(r: Random) -> str:
    body = digits(r, 8, "1234567")
    return body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def codice(r: Random) -> str:
    odd = dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True))
    odd |= dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14,
                                                     16, 10, 22, 25, 24, 23), strict=True))  # fmt: skip
    day = f"{r.randint(40, 99)}{r.choice('ABCDEHLMPRST')}{r.randint(1, 28):02}"
    body = f"{letters(r, 6)}{day}{letters(r, 1)}{digits(r, 3)}"
    total = sum(
        odd[c] if place % 2 == 0 else "0123456789".find(c) if c.isdigit() else ord(c) - 65
        for place, c in enumerate(body)
    )
    return body + chr(65 + total % 26)


def bsn(r: Random) -> str:
    def make() -> str | None:
        body = digits(r, 8, "123456789")
        check = summed(body, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
        return None if check == 10 else f"{body}{check}"

    return until(make)


def ahv(r: Random) -> str:
    body = "756" + digits(r, 9)
    return body + str(-summed(body, (1, 3) * 6) % 10)


def belgian(r: Random) -> str:
    body = date(r, "ymd") + digits(r, 3)
    return f"{body}{97 - int(body) % 97:02}"


def pesel(r: Random) -> str:
    body = date(r, "ymd") + digits(r, 4)
    return body + str(-summed(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def swedish(r: Random) -> str:
    return luhn(date(r, "ymd") + digits(r, 3))


def finnish(r: Random) -> str:
    day, body = date(r, "dmy"), f"{r.randint(2, 899):03}"
    return f"{day}-{body}" + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(day + body) % 31]


def norwegian(r: Random) -> str:
    def make() -> str | None:
        body = date(r, "dmy") + digits(r, 3)
        first = -summed(body, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
        second = -summed(f"{body}{first}", (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11 if first < 10 else 10
        return None if second == 10 else f"{body}{first}{second}"

    return until(make)


def danish(r: Random) -> str:
    return date(r, "dmy") + digits(r, 4)


def czech(r: Random) -> str:
    def make() -> str | None:
        body = date(r, "ymd") + digits(r, 3)
        check = -int(body) * 10 % 11
        return None if check == 10 else f"{body}{check}"

    return until(make)


def austrian(r: Random) -> str:
    def make() -> str | None:
        number, day = digits(r, 3, "123456789"), date(r, "dmy")
        check = summed(number + day, (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
        return None if check == 10 else f"{number}{check}{day}"

    return until(make)


def cpf(r: Random) -> str:
    body = digits(r, 9)
    for count in (10, 11):
        check = -summed(body, tuple(range(count, 1, -1))) % 11
        body += str(check if check < 10 else 0)
    return body


def aadhaar(r: Random) -> str:
    # Verhoeff by the group that its table stands for: the symmetries of a pentagon.
    def times(one: int, other: int) -> int:
        turned = one % 5 + (-1 if one > 4 else 1) * (other % 5)
        return turned % 5 + (5 if (one > 4) != (other > 4) else 0)

    step = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    body = digits(r, 11, "23456789")
    check = 0
    for place, c in enumerate(reversed(body), 1):
        moved = int(c)
        for _ in range(place % 8):
            moved = step[moved]
        check = times(check, moved)
    return body + str(next(d for d in range(10) if times(check, d) == 0))


def sin(r: Random) -> str:
    return luhn(digits(r, 8, "1234567"))


def chinese(r: Random) -> str:
    body = f"{digits(r, 6, '123456')}19{date(r, 'ymd')}{digits(r, 3)}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[summed(body, weights) % 11]


def chilean(r: Random) -> str:
    body = digits(r, 8, "12")
    check = -summed(body[::-1], (2, 3, 4, 5, 6, 7, 2, 3)) % 11
    return body + "0123456789K"[check]


def tfn(r: Random) -> str:
    def make() -> str | None:
        body = digits(r, 8, "123456789")
        return next(
            (body + str(d) for d in range(10) if summed(f"{body}{d}", (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0), None
        )

    return until(make)


def turkish(r: Random) -> str:
    body = digits(r, 9, "123456789")
    tenth = (7 * sum(map(int, body[::2])) - sum(map(int, body[1::2]))) % 10
    return f"{body}{tenth}{(sum(map(int, body)) + tenth) % 10}"


NATIONAL: dict[str, Kind] = {
    "GB nino": Kind(nino, lambda t: grouped(t, "22221"), plain, ("NI number", "NINO"), ("National Insurance no.",)),
    "GB nhs": Kind(lambda r: mod11(r, 9, (10, 9, 8, 7, 6, 5, 4, 3, 2)), lambda t: grouped(t, "334"), plain,
        ("NHS number", "NHS no."), ("patient (NHS)",)),
    "DE": Kind(steuer_id, plain, lambda t: grouped(t, "2333"), ("Steuer-ID", "IdNr."),
        ("steuerliche Identifikationsnummer",)),
    "FR": Kind(nir, lambda t: grouped(t, "1222332"), plain, ("numéro de sécurité sociale",), ("n° sécu",), alone=True),
    "ES": Kind(dni, plain, lambda t: f"{t[:8]}-{t[8]}", ("DNI", "con DNI"), ("documento nacional",), alone=True),
    "IT": Kind(codice, plain, plain, ("codice fiscale", "C.F."), ("cod. fisc.",), alone=True),
    "NL": Kind(bsn, plain, lambda t: grouped(t, "333"), ("BSN", "BSN:"), ("burgerservicenummer",)),
    "CH": Kind(ahv, lambda t: grouped(t, "3442", "."), plain, ("AHV-Nummer",), ("numéro AVS",), alone=True),
    "BE": Kind(belgian, lambda t: f"{t[:2]}.{t[2:4]}.{t[4:6]}-{t[6:9]}.{t[9:]}", plain,
        ("rijksregisternummer",), ("NISS",)),
    "PL": Kind(pesel, plain, plain, ("PESEL", "nr PESEL"), ("numer PESEL to",)),
    "SE": Kind(swedish, lambda t: grouped(t, "64", "-"), lambda t: f"19{t}", ("personnummer",), ("personnr",)),
    "FI": Kind(finnish, plain, plain, ("henkilötunnus",), ("hetu",), alone=True),
    "NO": Kind(norwegian, plain, lambda t: grouped(t, "65"), ("fødselsnummer",), ("f.nr.",), alone=True),
    "DK": Kind(danish, lambda t: grouped(t, "64", "-"), plain, ("CPR-nr.",), ("CPR nummer",)),
    "CZ": Kind(czech, lambda t: grouped(t, "64", "/"), lambda t: grouped(t, "64", "/"),
        ("rodné číslo",), ("r.č.",), alone=True),
    "AT": Kind(austrian, lambda t: grouped(t, "46"), plain, ("SVNR",), ("Sozialversicherungsnummer",)),
    "PT": Kind(lambda r: mod11(r, 8, (9, 8, 7, 6, 5, 4, 3, 2), "12", "0"), plain, lambda t: grouped(t, "333"), ("NIF",),
        ("número de contribuinte",)),
    "BR": Kind(cpf, lambda t: f"{t[:3]}.{t[3:6]}.{t[6:9]}-{t[9:]}", plain, ("CPF",), ("CPF nº",)),
    "IN": Kind(aadhaar, lambda t: grouped(t, "444"), plain, ("Aadhaar", "Aadhaar number"), ("UIDAI Aadhar no.",)),
    "CA": Kind(sin, lambda t: grouped(t, "333"), lambda t: grouped(t, "333", "-"), ("SIN",),
        ("Social Insurance Number",)),
    "CN": Kind(chinese, plain, plain, ("resident ID",), ("身份证号码",), alone=True),
    "CL": Kind(chilean, lambda t: f"{t[:2]}.{t[2:5]}.{t[5:8]}-{t[8]}", lambda t: f"{t[:8]}-{t[8]}",
        ("RUT",), ("RUN",)),
    "AU": Kind(tfn, lambda t: grouped(t, "333"), plain, ("TFN",), ("tax file number",)),
    "TR": Kind(turkish, plain, plain, ("T.C. kimlik no",), ("TCKN",)),
}  # fmt: skip
"""Country to what its number is like."""
