"""Sentences, headings and records of a made-up company, drawn from a seed: the same seed gives the same text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

_NOUNS = """
account agreement allowance amendment amount analysis answer appendix approval article assembly assessment asset
attachment audit balance bearing bicycle board boiler branch brake bridge budget building cable calendar carrier
catalogue chain channel charge clause client column commission committee company complaint component condition
contract contractor copy correction cost count coupling course credit customer cylinder damage database deadline
decision decrease delay delivery department deposit depot description device discount dispute document driver duty
effect employee engine entry equipment error estimate evidence exchange expense export factory failure fee file filter
finding flange floor form frame freight garage gasket gear goods guarantee handbook handle harbour heading holder
housing import improvement incident increase index inspection instalment instruction insurance interest interview
inventory invoice issue item journal label lamp leaflet lease ledger letter level licence limit line list loan
location lorry machine maintenance manager manual margin market material measure meeting member memo method minute
mirror module motor network notice number nut objection offer office officer operator option order outcome oven owner
package page panel paragraph part partner passenger patent payment penalty pension period permit person pipe plan plant
plate platform policy port position premium price printer procedure process product profit programme project proposal
protocol pump purchase quality quantity quarter question queue quota rail rate ratio reading receipt recipient record
reduction refund region register regulation reminder repair replacement report request requirement reserve response
result return revenue review risk road role room route rule saddle safety salary sale sample scale schedule screen
screw seal section sensor service session shaft share shelf shift shipment shop signal signature site spoke staff stage
standard statement station step stock storage store street structure subsidiary supplier supply survey switch system
table tank tariff task tax team template tenant tender term terminal test theory ticket timetable tool track trade
training transfer transport trial truck tyre unit update usage user valve value van vehicle vendor version visit voucher
wage warehouse warranty waste water weight wheel window wire witness worker workshop zone façade café résumé
"""
_VERBS = """
accepted adjusted approved assigned attached audited blocked booked cancelled changed charged checked cleared closed
collected compared completed confirmed corrected counted covered cut delayed delivered described designed discussed
divided drafted entered examined exchanged excluded explained extended filed finished followed fixed forwarded funded
granted handled imported improved included increased informed inspected installed insured invoiced issued joined kept
labelled leased limited listed loaded located lowered maintained marked measured merged monitored moved named noted
offered opened ordered packed paid planned posted prepared presented printed processed produced promised protected
proved purchased raised reached read received recorded recovered reduced refunded refused registered released removed
renewed repaired replaced reported requested reserved restored returned reviewed revised sealed selected sent settled
shipped signed sold solved sorted started stated stored submitted supplied suspended tested traced transferred treated
updated used verified visited weighed withdrawn written
"""
_ADJECTIVES = """
additional annual available average basic broken central clear combined common complete correct current daily damaged
defective digital direct domestic early effective electric empty estimated exact external final financial first fixed
foreign formal former free full further general global green heavy high important independent industrial initial
internal joint large late legal light likely local long loose lower main major manual medical minor missing modern
monthly narrow national necessary net new normal northern official old online open optional original outstanding overdue
partial permanent personal physical plain possible preliminary previous primary private public quarterly quick quiet
random ready recent regional regular related reliable remaining remote responsible second separate serious short
similar simple single small southern special spare specific stable standard steady suitable technical temporary third
total typical urgent useful usual valid valuable various weekly wide wooden worn written wrong
"""
_ADVERBS = """
again already always briefly carefully clearly closely completely correctly directly early eventually finally formally
frequently fully gradually immediately independently jointly largely later locally mainly nearly normally officially
often once partly promptly properly quickly rarely recently regularly separately slowly soon still temporarily together
twice usually
"""
_PLACES = """
Aarhus Antwerp Bergen Bilbao Bologna Bremen Bristol Brno Cádiz Cork Coventry Gdansk Genoa Ghent Girona Göteborg Graz
Hull Innsbruck Kiel Leeds Leipzig Liège Linz Lyon Malmö Metz Nantes Odense Oporto Orléans Ostrava Parma Pisa Porto
Rotterdam Rouen Salzburg Tampere Trieste Turku Uppsala Utrecht Vigo Winterthur Zürich
"""
_NAMES = """
Abbott Adeyemi Almeida Andersson Baker Bauer Bianchi Bouvier Carter Castillo Chaudhry Cohen Dubois Eriksen Fernández
Fischer Fontaine Garcia Gruber Haas Hansen Horváth Ivanova Jansen Kaya Kowalski Lambert Larsen Lindqvist Marino Martin
Meyer Moreau Müller Nakamura Novák Okafor Olsen Osei Patel Pereira Peters Popescu Quinn Rossi Ruiz Sato Schneider
Silva Singh Sørensen Taylor Tran Vargas Weber Winkler Yilmaz Zhang
"""
_PATTERNS = (
    ("The {} of the {} {} was {} by the {} in {}.", "nanvnp"),
    ("{} {} the {} {} and {} it to the {} of {}.", "mvanvnp"),
    ("For every {} {} there is a {} {}, which is {} {} by the {}.", "ananrvn"),
    ("The {} {} {} in {} has been {} {}; the {} follows in the next {}.", "anmprvnn"),
    ("As agreed with {}, the {} of {} is {} before the {} {} ends.", "mnpvan"),
    ("Order {} holds {} {} of the {} {} and {} for the {}.", "cinanin"),
    ("On {} the {} {} {} {} the {} under number {}.", "danrvnc"),
    ("A {} {} costs {} EUR, a {} {} {} EUR, and the {} is {} {}.", "anfanfnrv"),
    ("If the {} is {}, the {} must be {} {}, or the {} {} is {}.", "nanvranv"),
    ("{} and {} {} that the {} {} between {} and {} was {}.", "mmvanppv"),
    ("No {} was {}, although the {} of the {} {} had {} been {}.", "nvnanrv"),
    ("Please note: the {} {} for {} is {} only until {}.", "anpvd"),
)
_FIRST_DAY = date(2019, 1, 1)
WORD = re.compile(r"[^\W\d_]\w+")
"""What counts as a word when an output is checked: at least two characters, the first of them a letter."""

Row = tuple[str, date, str, str, str, int, float, str]
COLUMNS = ("order", "date", "customer", "city", "product", "quantity", "price", "comment")


def words_of(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return WORD.findall(text.lower())


class Prose:
    """Text without end.

    Args:
        seed: the same one gives the same text.
    """

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self._lists = {
            "n": _NOUNS.split(),
            "v": _VERBS.split(),
            "a": _ADJECTIVES.split(),
            "r": _ADVERBS.split(),
            "p": _PLACES.split(),
            "m": _NAMES.split(),
        }

    def pick(self, kind: str) -> str:
        """A noun (`n`), verb, adjective, adverb (`r`), place, name (`m`), code, integer, amount (`f`) or date."""
        words = self._lists.get(kind)
        draw = self.random.random
        if words:
            return words[int(draw() * len(words))]
        if kind == "c":
            return self.code()
        if kind == "i":
            return str(int(draw() * 900) + 2)
        if kind == "f":
            return f"{draw() * 4000:,.2f}"
        return self.day().isoformat()

    def code(self) -> str:
        """An order's number; nearly always a new one."""
        number = int(self.random.random() * 9e6) + 1_000_000
        return f"{'KRTX'[number % 4]}{'ABDE'[number // 7 % 4]}{number}"

    def day(self) -> date:
        """A day of the last years."""
        return _FIRST_DAY + timedelta(days=int(self.random.random() * 2800))

    def sentence(self) -> str:
        """One sentence of about 70 characters."""
        pattern, kinds = _PATTERNS[int(self.random.random() * len(_PATTERNS))]
        return pattern.format(*map(self.pick, kinds))

    def paragraph(self) -> str:
        """Two to seven sentences."""
        return " ".join([self.sentence() for _ in range(2 + int(self.random.random() * 6))])

    def heading(self) -> str:
        """A few words without a full stop."""
        return f"{self.pick('a').capitalize()} {self.pick('n')} and {self.pick('n')} {self.pick('c')}"

    def row(self) -> Row:
        """A record of the order book; see `COLUMNS`."""
        pick, draw = self.pick, self.random.random
        product = f"{pick('a')} {pick('n')}"
        comment = self.sentence() if draw() < 0.7 else ""
        amount = round(draw() * 4000, 2)
        return (self.code(), self.day(), pick("m"), pick("p"), product, int(draw() * 900) + 2, amount, comment)

    def rows(self, chars: int) -> Iterator[Row]:
        """Records of about so many characters."""
        while chars > 0:
            row = self.row()
            chars -= 62 + len(row[4]) + len(row[7])
            yield row

    def picture(self, size: int) -> bytes:
        """A PNG picture of about `size` bytes that nobody can make smaller; it shows nothing."""
        import struct
        import zlib

        width = 64
        height = max(1, size // (3 * width))
        lines = b"".join(b"\0" + self.random.randbytes(3 * width) for _ in range(height))
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
        made = [
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in parts
        ]
        return b"\x89PNG\r\n\x1a\n" + b"".join(made)
