"""Numbers by which states know people: one row for each, with its shape, its check and the words that go with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fmf_core.personal import national_checks as check
from fmf_core.personal.nearby import Words, compiled, is_ordinary
from fmf_core.personal.payments import Span

_END = re.compile(r"(?!\w|-[0-9A-Za-z]|[.,/:][0-9])")
_9 = r"[0-9]{2}([ .-]?)[0-9]{3}\1[0-9]{3}"
_10 = r"[0-9]{2}([ -]?)[0-9]{3}\1[0-9]{4}"
_11 = r"[0-9]{10}"
_12 = r"[0-9]{3}([ -]?)[0-9]{4}\1[0-9]{4}"
_13 = r"[0-9]{12}"
_ID_WORDS = "identity number|identity card|national id|id number|id card|id no"


class NationalId(NamedTuple):
    """One kind of number.

    Args:
        country: whose it is (ISO 3166-1).
        valid: whether letters and digits, in capitals and without anything between, pass for one.
        words: words that say what it is, between bars. Those in capitals are met in capitals only: `SIN` is a number
            in Canada, and `sin` an ordinary word in Spain. A star at the end stands for any ending.
        first: the class of its first character, then `shape` and `bare`: the rest of the pattern.
        shape: how it is written so that nothing else looks like it; empty when there is no such way.
        bare: how it is written otherwise; counts only with one of the words near it.
    """

    country: str
    valid: Callable[[str], bool]
    words: str
    first: str
    shape: str = ""
    bare: str = ""


NATIONAL_IDS = (
    NationalId("GB", check.nino, "NINO|NI|national insurance", "[A-Z]",
        r"[A-Z] [0-9]{2} [0-9]{2} [0-9]{2} [A-D]", r"[A-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"),
    NationalId("GB", check.nhs, "NHS", "[0-9]", bare=_10),
    NationalId("IE", check.pps, "PPS|PPSN|personal public service", "[0-9]", bare=r"[0-9]{6} ?[A-W][A-IW]?"),
    NationalId("DE", check.steuer_id, "steuer-id*|steuerid*|steuer id*|steuerliche id*|idnr|id-nr|TIN|tax id*",
        "[1-9]", r"[0-9] [0-9]{3} [0-9]{3} [0-9]{3}", _11),
    NationalId("AT", check.svnr, "SVNR|SV-Nr|sozialversicherung*|versicherungsnummer", "[1-9]",
        bare=r"[0-9]{3} ?[0-9]{6}"),
    NationalId("CH", check.ahv, "AHV", "7", r"56([. ]?)[0-9]{4}\1[0-9]{4}\1[0-9]{2}"),
    NationalId("FR", check.nir, "NIR", "[12]",
        r" ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"),
    NationalId("ES", check.dni, "DNI|NIF", "[0-9]", r"[0-9](?:[0-9]{6}|\.[0-9]{3}\.[0-9]{3})-?[A-Z]",
        r"[0-9]{7} [A-Z]"),
    NationalId("ES", check.nie, "NIE", "[XYZ]", r"-?[0-9]{7}-?[A-Z]"),
    NationalId("PT", check.nif, "NIF|contribuinte", "[1-9]", bare=_9),
    NationalId("IT", check.codice_fiscale, "codice fiscale", "[A-Z]",
        r"[A-Z]{5}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]"),
    NationalId("NL", check.bsn, "BSN|burgerservicenummer|sofinummer|sofi-nummer", "[0-9]", bare=_9),
    NationalId("BE", check.rijksregister, "NISS|INSZ|rijksregister*|registre national|numéro national", "[0-9]",
        r"[0-9]\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", r"[0-9]{5}[ -]?[0-9]{3}[ .]?[0-9]{2}"),
    NationalId("PL", check.pesel, "pesel*", "[0-9]", bare=_11),
    NationalId("CZ", check.rodne_cislo, "rodné*|rodného*|RČ", "[0-9]", r"[0-9]{5}/[0-9]{4}", r"[0-9]{9}"),
    NationalId("RO", check.cnp, "CNP|cod numeric personal", "[1-8]", bare=_13),
    NationalId("BG", check.egn, "EGN|ЕГН", "[0-9]", bare=r"[0-9]{9}"),
    NationalId("HR", check.oib, "OIB", "[0-9]", bare=_11),
    NationalId("RS", check.jmbg, "JMBG|ЈМБГ|EMŠO|EMSO", "[0-9]", bare=_13),
    NationalId("GR", check.amka, "AMKA|\u0391\u039c\u039a\u0391", "[0-9]", bare=_11),
    NationalId("SE", check.personnummer, "personnummer|person-nummer|personnr|samordningsnummer", "[0-9]",
        r"[0-9]{5}(?:[0-9]{2})?[-+][0-9]{4}", r"[0-9]{5}(?:[0-9]{2})?[ -]?[0-9]{4}"),
    NationalId("DK", check.cpr, "CPR*|personnummer", "[0-3]", bare=r"[0-9]{5}[ -]?[0-9]{4}"),
    NationalId("NO", check.fodselsnummer, "fødselsnummer*|personnummer|fnr", "[0-7]", r"[0-9]{5} ?[0-9]{5}"),
    NationalId("FI", check.henkilotunnus, "henkilötunnus|hetu", "[0-3]",
        r"[0-9]{5}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]"),
    NationalId("EE", check.isikukood, "isikukood|asmens kodas", "[1-8]", bare=_11),
    NationalId("RU", check.snils, "снилс|snils", "[0-9]", r"[0-9]{2}-[0-9]{3}-[0-9]{3}[ -][0-9]{2}", _11),
    NationalId("TR", check.kimlik, "kimlik|TCKN|TC", "[1-9]", bare=_11),
    NationalId("US", check.itin, "ITIN", "9", r"[0-9]{2}-[0-9]{2}-[0-9]{4}", r"[0-9]{8}"),
    NationalId("CA", check.sin, "SIN|NAS|social insurance|assurance sociale", "[1-79]", bare=_9),
    NationalId("MX", check.curp, "CURP", "[A-Z]", r"[AEIOUX][A-Z]{2}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]"),
    NationalId("BR", check.cpf, "CPF", "[0-9]", r"[0-9]{2}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", r"[0-9]{8}-?[0-9]{2}"),
    NationalId("AR", check.cuil, "CUIL|CUIT", "2", r"[0347]-[0-9]{8}-[0-9]", r"[0347][0-9]{9}"),
    NationalId("CL", check.rut, "RUT|RUN", "[1-9]", r"[0-9]?\.[0-9]{3}\.[0-9]{3}-[0-9Kk]", r"[0-9]{6,7}-?[0-9Kk]"),
    NationalId("AU", check.tfn, "TFN|tax file", "[0-9]", bare=_9),
    NationalId("AU", check.medicare, "medicare", "[2-6]", bare=r"[0-9]{3} ?[0-9]{5} ?[0-9](?:[ /-]?[1-9])?"),
    NationalId("IN", check.aadhaar, "aadhaar|aadhar|UIDAI|UID|आधार", "[2-9]", bare=_12),
    NationalId("IN", check.pan, "PAN|permanent account", "[A-Z]", bare=r"[A-Z]{4}[0-9]{4}[A-Z]"),
    NationalId("CN", check.resident_id, "resident id|身份证", "[1-9]",
        r"[0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"),
    NationalId("TW", check.taiwan, f"身分證|身份證|taiwan*|{_ID_WORDS}", "[A-Z]", bare=r"[1289][0-9]{8}"),
    NationalId("HK", check.hkid, "HKID", "[A-Z]", r"[0-9]{6}\([0-9A]\)", r"[0-9]{6}[0-9A]"),
    NationalId("KR", check.rrn, "주민등록번호|RRN", "[0-9]", r"[0-9]{5}-[1-8][0-9]{6}", r"[0-9]{5}[1-8][0-9]{6}"),
    NationalId("JP", check.my_number, "マイナンバー|個人番号|my number", "[0-9]", bare=_12),
    NationalId("SG", check.nric, "NRIC|FIN", "[STFG]", r"[0-9]{7}[A-Z]"),
    NationalId("TH", check.thai, "thai*|บัตรประชาชน", "[1-8]", r"-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]", _13),
    NationalId("IL", check.israel, "תעודת זהות|ת.ז.|teudat zehut|israeli id", "[0-9]", bare=r"[0-9]{8}"),
    NationalId("ZA", check.south_africa, f"south africa*|{_ID_WORDS}", "[0-9]", bare=_13),
)  # fmt: skip
"""Every kind of number that is known; those that are not have no check digit, or look like any other number."""


def national_ids(text: str) -> Iterator[Span]:
    """Numbers by which states know people; those that look like any number need a word for it near them."""
    if _SOME_SHAPE.search(text):
        for row in NATIONAL_IDS:
            if row.shape:
                yield from _shaped(row, text)
    lowered = text.lower()
    for row, words in _WITH_WORDS:
        if words.any_in(lowered):
            for start, end in _matches(row, row.bare, text):
                if words.near(text, start, end) and not is_ordinary(text, start):
                    yield start, end, row.country


def social_security(text: str) -> Iterator[Span]:
    """Numbers of the Social Security of the United States, without those that it never gives out (20 CFR 422)."""
    for match in _SSN.finditer(text):
        yield *match.span(), "US"


def bare_social_security(text: str) -> Iterator[Span]:
    """The same without anything between the digits, with a word for it near them."""
    if _SSN_WORDS.any_in(text.lower()):
        for match in _BARE_SSN.finditer(text):
            start, end = match.span()
            # Another number between the word and this one is what the word speaks of.
            other = is_ordinary(text, start) or _ANOTHER.search(text[max(0, start - 25) : start])
            if _SSN_WORDS.near(text, start, end) and not other:
                yield start, end, "US"


def _shaped(row: NationalId, text: str) -> Iterator[Span]:
    for start, end in _matches(row, row.shape, text):
        if not is_ordinary(text, start):
            yield start, end, row.country


def _matches(row: NationalId, rest: str, text: str) -> Iterator[tuple[int, int]]:
    # What must not stand before comes after the first character: the engine then skips all others at once.
    pattern = compiled(f"{row.first}{_START}{rest}")
    for match in pattern.finditer(text):
        if _END.match(text, match.end()) and row.valid(re.sub(r"[ .,/()+-]", "", match.group()).upper()):
            yield match.span()


_START = r"(?<![\w-].)(?<![0-9][.,/].)"
_SOME_SHAPE = re.compile(
    f"[0-9A-Z]{_START}(?:"
    + "|".join(f"(?<={row.first}){row.shape}".replace("\\1", "[. ]?") for row in NATIONAL_IDS if row.shape)
    + ")"
)
_WITH_WORDS = tuple((row, Words(row.words)) for row in NATIONAL_IDS if row.bare)
_SSN = re.compile(r"[0-8](?<![0-9-].)(?!(?<=0)00|(?<=6)66)[0-9]{2}([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9-])")
_BARE_SSN = re.compile(r"[0-8](?<![\w-].)(?!(?<=0)00|(?<=6)66)[0-9]{2}(?!00)[0-9]{2}(?!0000)[0-9]{4}(?![\w-])")
_ANOTHER = re.compile(r"[0-9]{4}[^0-9]{0,25}\Z")
_SSN_WORDS = Words("SSN|SSNs|social security")
