"""Phone numbers: of any country after a `+`, in common national ways of writing, or after a word for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fmf_core.personal.nearby import is_ordinary
from fmf_core.personal.payments import Span

_INTERNATIONAL = re.compile(
    r"[+0](?<![\w+./#-].)(?<!=0)(?:(?<=\+) ?|(?<=0)0)[(]?[1-9](?:[)]?[ ./-]{0,3}[(]?[0-9]){6,16}[)]?"
)
_ZERO = re.compile(r"[(0](?<![\w+./=#-].)(?<![0-9] .)(?:(?<=[(])0 ?|(?<=0))[1-9](?: ?[)]? ?[./-]? ?[0-9]){7,11}")
_SHAPES = re.compile(
    r"(?<![\w.+/=#-])(?<![0-9] )(?:"
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"  # (555) 123-4567: North America
    r"|\([1-9][0-9]\) ?9?[0-9]{4}[ -][0-9]{4}|[1-9][0-9] 9[0-9]{4}-[0-9]{4}"  # (11) 91234-5678: Brazil
    r"|[6-9][0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}|9[0-9] [0-9]{3} [0-9]{2} [0-9]{2}"  # 612 34 56 78: Spain
    r"|8[ -]?\([0-9]{3}\) ?[0-9]{3}-[0-9]{2}-[0-9]{2}"  # 8 (495) 123-45-67: Russia
    r"|1[3-9][0-9]([ -])[0-9]{4}\1[0-9]{4}"  # 138 1234 5678: China
    r")"
)
_WORDS = (
    "tel|telephone|phone|mobile|mob|cell|cellphone|fax|call|ring|dial|text|whatsapp|sms|hotline|telefon|telefonnummer"
    "|tel-?nr|handy|handynummer|mobil|mobilnummer|mobiltelefon|rückruf|rufnummer|téléphone|portable|appelez|appeler"
    "|teléfono|móvil|llame|llamar|telefono|cellulare|telefoon|telefoonnummer|mobiel|gsm|bel|telefone|celular|telemóvel"
    "|ligue|telefonu|komórka|telefonnr|mobilnr|puhelin|телефон|тел"
)
_UNSPACED_WORDS = (
    "(?:电话|電話|手机|手機|携帯|联系方式|致电|拨打|전화|휴대폰|연락처|โทรศัพท์|โทร)"
    "(?:号码|號碼|号|番号|번호)?(?:は|是|为|為|는|은)?"
)
_WORD_BEFORE = re.compile(
    rf"(?i)(?:(?<![^\W_])(?:{_WORDS})(?![^\W\d_])|(?:{_UNSPACED_WORDS}))[^\w\n(+]{{0,4}}"
    r"(?:(?:no|nr|number|num|nummer|numéro|número|numero|is|at|me|us|on|him|her|them|unter|ist|lautet|au|est|le|al|es|il"
    r"|op|é|under|på|er|or|text|in|bei)[^\w\n(+]{1,3}){0,3}\Z"
)
_LONGEST_WORDS = 60
_LONGEST_AREA = 9
_BARE = re.compile(r"[(0-9](?<![\w./-].)(?:[)]?[ ./-]{0,3}[(]?[0-9]){6,13}[)]?")
_END = re.compile(
    r"(?!\w|[/-][0-9A-Za-z]|[.,:][0-9]"
    r"| ?(?:[€$£¥%‰]|(?:EUR|USD|GBP|CHF|PLN|SEK|Euro|Mio|kg|km|Stück|units|votes|pcs|people|views)\b))"
)
_EXTENSION = re.compile(
    r"(?i)(?:,? ?(?:ext(?:ension)?[.:]?|x|poste|durchwahl|dw|ramal|int\.|anexo|toestel)[ :]?| ?#) ?[0-9]{1,6}(?!\w)"
    r"|-[0-9]{1,4}(?![\w-]|[.,][0-9])"
)
_DATE = re.compile(
    r"(?:[0-3]?[0-9]([./ -])[0-3]?[0-9]\1(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}[./-][01][0-9][./-][0-3][0-9])(?![0-9])"
)
_COMPACT = re.compile(r"0[67][0-9]{8}|07[0-9]{9}|01[5-7][0-9]{8,9}|04[0-9]{8}|0[789]0[0-9]{8}")
_LENGTHS = {
    # Country code to the least and most digits behind it (ITU-T E.164 and its lists of national numbering plans).
    "1": (10, 10), "7": (10, 10), "20": (8, 10), "27": (9, 9), "30": (10, 10), "31": (9, 9), "32": (8, 9), "33": (9, 9),
    "34": (9, 9), "36": (8, 9), "39": (6, 11), "40": (9, 9), "41": (9, 9), "43": (6, 13), "44": (9, 10), "45": (8, 8),
    "46": (7, 9), "47": (8, 8), "48": (9, 9), "49": (6, 13), "52": (10, 11), "54": (10, 11), "55": (10, 11),
    "56": (9, 9), "57": (8, 10), "60": (8, 10), "61": (9, 9), "62": (8, 12), "63": (8, 10), "64": (8, 10), "65": (8, 8),
    "66": (8, 9), "81": (9, 10), "82": (8, 10), "84": (9, 10), "86": (10, 11), "90": (10, 10), "91": (10, 10),
    "92": (9, 10), "94": (9, 9), "98": (10, 10), "351": (9, 9), "352": (6, 9), "353": (7, 9), "354": (7, 7),
    "358": (6, 11), "420": (9, 9), "421": (9, 9), "852": (8, 8), "886": (8, 9), "966": (8, 9), "971": (8, 9),
    "972": (8, 9),
}  # fmt: skip
_OTHER_CODES = re.compile(
    r"2[1-9][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|5[138]|67[0-9]|68[0-9]|69[0-9]|8[058][0-9]|9[35679][0-9]?"
)
_OTHER_LENGTHS = (6, 12)


def phones(text: str) -> Iterator[Span]:
    """Phone numbers with their extensions, the surest ways of writing first; some of them may overlap."""
    for find in (_international, _after_words, _with_zero, _by_shape):
        for start, end in find(text):
            extension = _EXTENSION.match(text, end)
            yield start, extension.end() if extension else end, None


def _international(text: str) -> Iterator[tuple[int, int]]:
    if "+" not in text and "00" not in text:
        return
    for match in _INTERNATIONAL.finditer(text):
        start = match.start()
        end = next((end for end in _ends(text, start, match.end()) if _is_international(text[start:end])), None)
        if end is not None and (text[start] == "+" or not _is_part(text, start)):
            yield start, end


def _is_part(text: str, start: int) -> bool:
    """Whether a number with zeros in front is rather a part of a longer one, or that of an order."""
    return re.search(r"[0-9] \Z", text[max(0, start - 2) : start]) is not None or is_ordinary(text, start)


def _is_international(text: str) -> bool:
    digits = "".join(character for character in text.replace("(0)", "") if character.isdigit())
    digits = digits if text[0] == "+" else digits[2:]
    for size in (3, 2, 1):
        code, rest = digits[:size], digits[size:]
        least, most = _LENGTHS.get(code) or (_OTHER_LENGTHS if _OTHER_CODES.fullmatch(code) else (0, 0))
        # A zero that belongs only to calls inside the country is often written all the same.
        if least <= len(rest) - rest.startswith("0") and least <= len(rest) <= most and len(digits) >= 8:
            return code != "1" or rest[0] > "1"
    return False


def _after_words(text: str) -> Iterator[tuple[int, int]]:
    for match in _BARE.finditer(text):
        start, end = match.span()
        if _DATE.match(text, start) or not _WORD_BEFORE.search(text[max(0, start - _LONGEST_WORDS) : start]):
            continue
        found = _first(_ends(text, start, end))
        if found is not None and 7 <= sum(map(str.isdigit, text[start:found])) <= 13:
            yield start, found


def _with_zero(text: str) -> Iterator[tuple[int, int]]:
    for match in _ZERO.finditer(text):
        start, end = match.span()
        if text[start] == "(" and ")" not in text[start : start + _LONGEST_AREA]:
            start += 1  # it is no area that is in parentheses, but the whole number
        if re.match(r"[ .-]?[0-9]", text[end : end + 2]) or _DATE.match(text, start) or is_ordinary(text, start):
            continue
        found = _first(_ends(text, start, end))
        if found is None:
            continue
        number = text[start:found]
        count = sum(map(str.isdigit, number))
        if 9 <= count <= 12 and (count != len(number) or _COMPACT.fullmatch(number)):
            yield start, found


def _by_shape(text: str) -> Iterator[tuple[int, int]]:
    for match in _SHAPES.finditer(text):
        if _END.match(text, match.end()) and not is_ordinary(text, match.start()):
            yield match.span()


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """Where a number may end, the longest first: behind a group of digits, but not behind a lone one."""
    for place in range(end, start + 6, -1):
        last = text[place - 1]
        whole = last.isdigit() or last == ")"
        lone = last.isdigit() and text[place - 2] == " "
        balanced = text.count("(", start, place) == text.count(")", start, place)
        if whole and not lone and balanced and _END.match(text, place):
            yield place


def _first(places: Iterator[int]) -> int | None:
    return next(places, None)
