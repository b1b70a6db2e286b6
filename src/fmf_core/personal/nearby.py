"""What stands around a number: words that say what it is, or that it is only that of an order, a part, a version."""

from __future__ import annotations

import re
from functools import lru_cache

BEFORE = 60
"""How many characters before a number are looked through for words that say what it is."""
AFTER = 30
"""How many behind it."""

_ORDINARY = re.compile(
    r"(?i)(?:(?<![^\W_])(?:orders?|invoices?|tickets?|ref|reference|items?|sku|serial|batch|lot|parts?|versions?|builds?"
    r"|releases?|isbn|issn|ean|gtin|upc|imei|doi|tracking|parcels?|shipments?|po|cases?|documents?|articles?|products?"
    r"|models?|receipts?|transactions?|quotes?|contracts?|bookings?|commits?|sections?|(?:bestell|auftrags?|rechnungs?"
    r"|artikel|sendungs|vorgangs|serien|teile|chargen|kunden|vertrag|beleg)\w*|commandes?|factures?|colis|lote|série"
    r"|pedidos?|facturas?|faturas?|ordin[ei]|fattur[ae]|ordre|faktura|bestelling|factuur|zamówieni\w*|faktur[aay])"
    r"|(?:订单|訂單|发票|發票|运单|快递单?|合同|批次|序列|版本|注文|請求書?|伝票|品番|型番|製品|주문|송장|운송장|제품|계약)(?:编?号码?|編?號碼?|番号|번호)?)"
    r"[ _]{0,2}(?:no|nos|nr|num|number|numbers|nummer|numéro|número|numero|id|code|key|n[º°])?[\s.:#=º°\"'-]{0,6}"
    r"(?:(?:is|was|lautet|ist|est|es|è|は|是|为|為|은|는) ?)?\Z"
)


class Words:
    """Some words, to be looked for near a number.

    Args:
        words: between bars. Those in capitals are met in capitals only; a star at the end stands for any ending. In
            writing without capitals, which mostly has no spaces, any letters may stand around them.
    """

    def __init__(self, words: str) -> None:
        self._words = words.split("|")
        self._marks = tuple(word.rstrip("*").lower() for word in self._words)

    def any_in(self, lowered: str) -> bool:
        """Whether a text in lower case may have one of them: a few quick searches before all the slow ones."""
        return any(mark in lowered for mark in self._marks)

    def near(self, text: str, start: int, end: int) -> bool:
        """Whether one of them stands close to `text[start:end]`."""
        forms = [(word, word.replace(".", r"\.").replace("*", r"\w*")) for word in self._words]
        set_apart = "|".join(
            form if word.rstrip("*").isupper() else f"(?i:{form})"
            for word, form in forms
            if word.lower() != word.upper()
        )
        anywhere = "".join(f"|{form}" for word, form in forms if word.lower() == word.upper())
        pattern = compiled(rf"(?<![^\W_])(?:{set_apart or '(?!)'})(?![^\W\d_]){anywhere}")
        return (
            pattern.search(text, max(0, start - BEFORE), start) is not None
            or pattern.search(text, end, end + AFTER) is not None
        )


def is_ordinary(text: str, start: int) -> bool:
    """Whether the words right before `start` say that the number there is that of an order, a part, a version, ..."""
    return _ORDINARY.search(text[max(0, start - 40) : start]) is not None


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled when it is first needed: all of them would take a good part of an import's time."""
    return re.compile(pattern)
