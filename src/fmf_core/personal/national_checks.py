"""Whether a number passes for one by which a state knows a person: its dates, its letters, its check digits.

Each function takes letters and digits in capitals, without what is written between them, in the length that the shape
of its kind has. Where a docstring names no other source, the rule is that of the authority which gives the number.
"""

from __future__ import annotations

from fmf_core.personal.checksums import ean_13, iso_11_2, iso_11_10, luhn, verhoeff, weighted

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CODICE_ODD = dict(
    zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23), strict=True)
)  # fmt: skip


def _day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]


def _not_one_digit(digits: str) -> bool:
    return len(set(digits)) > 1


def nino(text: str) -> bool:
    """United Kingdom, National Insurance number: letters that are given out (HMRC, NIM39110); it has no check digit."""
    prefix = text[:2]
    allowed = not set("DFIQUV") & set(prefix) and prefix[1] != "O"
    return allowed and prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def nhs(text: str) -> bool:
    """United Kingdom, NHS number: weights 10 to 2, modulo 11 (NHS Data Dictionary)."""
    expected = -weighted(text, range(10, 1, -1)) % 11
    return expected == int(text[9]) and _not_one_digit(text)


def pps(text: str) -> bool:
    """Ireland, PPS number: weights 8 to 2, a second letter times 9, modulo 23 (Department of Social Protection)."""
    second = 0 if len(text) < 9 or text[8] == "W" else ord(text[8]) - 64
    return "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(text[:7], range(8, 1, -1)) + 9 * second) % 23] == text[7]


def steuer_id(text: str) -> bool:
    """Germany, tax identification number: MOD 11,10, and one digit twice or thrice among ten (BZSt)."""
    counts = sorted((text[:10].count(digit) for digit in set(text[:10])), reverse=True)
    return counts[0] in (2, 3) and (len(counts) < 2 or counts[1] == 1) and iso_11_10(text)


def svnr(text: str) -> bool:
    """Austria, social insurance number: the fourth digit checks the others modulo 11; then a date."""
    check = weighted(text[:3] + text[4:], (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
    return check == int(text[3]) and (_day(int(text[6:8]), int(text[4:6])) or int(text[6:8]) > 12)


def ahv(text: str) -> bool:
    """Switzerland, AHV number: 756 and the check digit of article numbers (Central Compensation Office)."""
    return ean_13(text)


def nir(text: str) -> bool:
    """France, social security number: a month, and 97 less the rest modulo 97; Corsica counts as 19 and 18 (INSEE)."""
    digits = text.replace("2A", "19", 1) if text[5:7] == "2A" else text.replace("2B", "18", 1)
    month = int(digits[3:5]) if digits.isdigit() else 0
    return (1 <= month <= 12 or 20 <= month <= 42) and 97 - int(digits[:13]) % 97 == int(digits[13:])


def dni(text: str) -> bool:
    """Spain, DNI: a letter by the rest modulo 23 (Ministerio del Interior)."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(text[:8]) % 23] == text[8] and _not_one_digit(text[:8])


def nie(text: str) -> bool:
    """Spain, NIE of foreigners: as the DNI, with X, Y, Z as 0, 1, 2."""
    return dni(str("XYZ".index(text[0])) + text[1:])


def nif(text: str) -> bool:
    """Portugal, NIF: weights 9 to 2, modulo 11 (Autoridade Tributária)."""
    check = 11 - weighted(text, range(9, 1, -1)) % 11
    return int(text[8]) == (0 if check > 9 else check) and _not_one_digit(text)


def codice_fiscale(text: str) -> bool:
    """Italy, codice fiscale: odd and even places by their tables, modulo 26 (D.M. 23 December 1976)."""
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in text[1:15:2])
    return chr(65 + (sum(_CODICE_ODD[c] for c in text[:15:2]) + even) % 26) == text[15]


def bsn(text: str) -> bool:
    """Netherlands, BSN: weights 9 to 2 and -1, modulo 11 (the `elfproef`)."""
    return weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and _not_one_digit(text)


def rijksregister(text: str) -> bool:
    """Belgium, national number: 97 less the rest modulo 97, a 2 in front from 2000 on (Royal decree, 3 April 1984)."""
    month = int(text[2:4])
    checks = {97 - int(text[:9]) % 97, 97 - int("2" + text[:9]) % 97}
    return month <= 52 and month % 20 <= 12 and int(text[4:6]) <= 31 and int(text[9:]) in checks


def pesel(text: str) -> bool:
    """Poland, PESEL: a date whose month tells the century, weights 1, 3, 7, 9, modulo 10."""
    return _day(int(text[2:4]) % 20, int(text[4:6])) and weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def rodne_cislo(text: str) -> bool:
    """Czechia and Slovakia, birth number: a date, 50 more months for women, divisible by 11 (Act 133/2000)."""
    month = int(text[2:4]) % 50
    return _day(month - 20 if month > 20 else month, int(text[4:6])) and int(text) % 11 == 0


def cnp(text: str) -> bool:
    """Romania, CNP: a date, weights 279146358279, modulo 11, 10 as 1."""
    check = weighted(text, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return _day(int(text[3:5]), int(text[5:7])) and int(text[12]) == (1 if check == 10 else check)


def egn(text: str) -> bool:
    """Bulgaria, EGN: a date, weights 2, 4, 8, 5, 10, 9, 7, 3, 6, modulo 11, 10 as 0."""
    check = weighted(text, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    month = int(text[2:4])
    return month <= 52 and _day(month % 20, int(text[4:6])) and int(text[9]) == check


def jmbg(text: str) -> bool:
    """Former Yugoslavia, JMBG and EMŠO: a date, weights 7 to 2 twice, modulo 11."""
    check = -weighted(text, (7, 6, 5, 4, 3, 2) * 2) % 11
    return _day(int(text[2:4]), int(text[:2])) and int(text[12]) == check % 10


def amka(text: str) -> bool:
    """Greece, AMKA: a date, then Luhn."""
    return _day(int(text[2:4]), int(text[:2])) and luhn(text)


def personnummer(text: str) -> bool:
    """Sweden, personnummer and samordningsnummer (60 more days): a date, then Luhn over ten digits (Skatteverket)."""
    digits = text[-10:]
    day = int(digits[4:6])
    return _day(int(digits[2:4]), day - 60 if day > 60 else day) and luhn(digits)


def cpr(text: str) -> bool:
    """Denmark, CPR: a date; it has had no check digit since 2007."""
    return _day(int(text[2:4]), int(text[:2]))


def fodselsnummer(text: str) -> bool:
    """Norway, fødselsnummer and D-number (40 more days): a date and two digits modulo 11 (Skatteetaten)."""
    day = int(text[:2])
    return (
        _day(int(text[2:4]), day - 40 if day > 40 else day)
        and weighted(text, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def henkilotunnus(text: str) -> bool:
    """Finland, henkilötunnus: a date, a character by the rest modulo 31 (Digital and Population Data Services)."""
    digits = text[:6] + text[-4:-1]
    return _day(int(text[2:4]), int(text[:2])) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == text[-1]


def isikukood(text: str) -> bool:
    """Estonia and Lithuania, personal code: a date, then two rounds of weights, modulo 11 (EVS 585)."""
    check = weighted(text, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(text, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return _day(int(text[3:5]), int(text[5:7])) and int(text[10]) == check


def snils(text: str) -> bool:
    """Russia, SNILS: weights 9 to 1, modulo 101, 100 as 0 (Pension Fund)."""
    return weighted(text, range(9, 0, -1)) % 101 % 100 == int(text[9:]) and _not_one_digit(text)


def kimlik(text: str) -> bool:
    """Turkey, T.C. kimlik: the tenth digit by odd and even places, the eleventh by the sum (NVI)."""
    tenth = (7 * sum(map(int, text[:9:2])) - sum(map(int, text[1:8:2]))) % 10
    return int(text[9]) == tenth and sum(map(int, text[:10])) % 10 == int(text[10])


def itin(text: str) -> bool:
    """United States, ITIN: the middle pairs that are given out (IRS, Publication 1915); it has no check digit."""
    middle = int(text[3:5])
    return 50 <= middle <= 99 and middle not in (66, 67, 68, 69, 89, 93)


def oib(text: str) -> bool:
    """Croatia, OIB: MOD 11,10 (Ministry of Finance)."""
    return iso_11_10(text) and _not_one_digit(text)


def sin(text: str) -> bool:
    """Canada, SIN: Luhn."""
    return luhn(text) and _not_one_digit(text)


def curp(text: str) -> bool:
    """Mexico, CURP: a date, weights 18 to 2 over letters and digits, modulo 10 (RENAPO)."""
    alphabet = "0123456789ABCDEFGHIJKLMN\N{LATIN CAPITAL LETTER N WITH TILDE}OPQRSTUVWXYZ"
    total = sum(alphabet.index(c) * (18 - place) for place, c in enumerate(text[:17]))
    return _day(int(text[6:8]), int(text[8:10])) and -total % 10 == int(text[17])


def cpf(text: str) -> bool:
    """Brazil, CPF: two digits, weights from 10 and from 11 down to 2, modulo 11 (Receita Federal)."""
    first = weighted(text[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(text[:10], range(11, 1, -1)) * 10 % 11 % 10
    return text[9:] == f"{first}{second}" and _not_one_digit(text)


def cuil(text: str) -> bool:
    """Argentina, CUIL and CUIT of people: weights 5432765432, modulo 11, 10 as 9 (AFIP)."""
    return min(-weighted(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11, 9) == int(text[10])


def rut(text: str) -> bool:
    """Chile, RUT: weights 2 to 7 from the right, modulo 11, 10 as K (Servicio de Impuestos Internos)."""
    return "0123456789K"[-weighted(text[-2::-1], (2, 3, 4, 5, 6, 7) * 2) % 11] == text[-1]


def tfn(text: str) -> bool:
    """Australia, tax file number: weights 1, 4, 3, 7, 5, 8, 6, 9, 10, modulo 11 (ATO)."""
    return weighted(text, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and _not_one_digit(text)


def medicare(text: str) -> bool:
    """Australia, Medicare card: weights 1, 3, 7, 9 twice, modulo 10, in the ninth place."""
    return weighted(text, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(text[8])


def aadhaar(text: str) -> bool:
    """India, Aadhaar: Verhoeff (UIDAI)."""
    return verhoeff(text) and _not_one_digit(text)


def pan(text: str) -> bool:
    """India, PAN of people: P as its fourth letter (Income Tax Department); its check letter is not public."""
    return text[3] == "P"


def resident_id(text: str) -> bool:
    """China, resident identity number: MOD 11-2 (GB 11643-1999)."""
    return iso_11_2(text)


def taiwan(text: str) -> bool:
    """Taiwan, identity card: the letter as two digits, weights 1, 9 to 1, modulo 10 (Ministry of the Interior)."""
    code = str(10 + "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0]))
    return weighted(code + text[1:], (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def hkid(text: str) -> bool:
    """Hong Kong, identity card of one letter: weights 8 to 2, 324 for the place that is empty, modulo 11, A as 10."""
    total = 324 + 8 * (ord(text[0]) - 55) + weighted(text[1:7], range(7, 1, -1))
    return (total + int(text[7], 16)) % 11 == 0


def rrn(text: str) -> bool:
    """South Korea, resident registration number: a date; it has had no check digit since 2020."""
    return _day(int(text[2:4]), int(text[4:6]))


def my_number(text: str) -> bool:
    """Japan, My Number: weights 6 to 2 and 7 to 2, modulo 11 (Ministry of Internal Affairs, ordinance 85 of 2014)."""
    rest = weighted(text, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(text[11]) == (0 if rest <= 1 else 11 - rest) and _not_one_digit(text)


def nric(text: str) -> bool:
    """Singapore, NRIC and FIN: weights 2, 7, 6, 5, 4, 3, 2, four more for T and G, modulo 11."""
    total = weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + 4 * (text[0] in "TG")
    return ("JZIHGFEDCBA" if text[0] in "ST" else "XWUTRQPNMLK")[total % 11] == text[8]


def thai(text: str) -> bool:
    """Thailand, identity card: weights 13 to 2, modulo 11 (Department of Provincial Administration)."""
    return (11 - weighted(text, range(13, 1, -1)) % 11) % 10 == int(text[12])


def israel(text: str) -> bool:
    """Israel, identity number: Luhn."""
    return luhn(text) and _not_one_digit(text)


def south_africa(text: str) -> bool:
    """South Africa, identity number: a date, then Luhn (Department of Home Affairs)."""
    return _day(int(text[2:4]), int(text[4:6])) and text[10] in "012" and luhn(text)
