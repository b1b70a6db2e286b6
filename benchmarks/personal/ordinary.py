"""Numbers and texts that only look like personal data."""

from __future__ import annotations

import string
import uuid
from random import Random

from benchmarks.personal.national import NATIONAL
from benchmarks.personal.values import card, digits, iban, letters, luhn


def _ean(body: str) -> str:
    total = sum(int(c) * (3 if place % 2 else 1) for place, c in enumerate(body))
    return body + str(-total % 10)


def _changed(r: Random, text: str) -> str:
    """The text with one digit changed: its check digits are wrong."""
    place = r.choice([n for n, c in enumerate(text) if c.isdigit() and n > 3])
    return text[:place] + str((int(text[place]) + r.randint(1, 8)) % 10) + text[place + 1 :]


def tuned(r: Random) -> str:
    """A sentence of the set that the detector was tuned on."""
    d, n = lambda count: digits(r, count, "123456789"), r.randint
    epoch = f"epoch 17{d(8)} or 17{d(11)}"
    return r.choice([
        f"Order {d(8)} was shipped on {n(1, 28):02}.{n(1, 12):02}.20{n(10, 29)}.",
        f"Invoice no. {d(10)} over {n(1, 999)},{d(3)}.{n(10, 99)} EUR is due.",
        f"Die Bestellnummer lautet {d(9)}, die Rechnung {d(6)}-{d(4)}.",
        f"Votre commande n° {d(10)} du {n(1, 28):02}/{n(1, 12):02}/20{n(10, 29)} est prête.",
        f"Build 1.{n(0, 40)}.{n(0, 9)}.{d(4)} replaces version {n(1, 9)}.{n(0, 20)}.{n(0, 99)}.{n(1, 99)}.",
        f"The ISBN is 978-{d(1)}-{d(2)}-{d(6)}-{d(1)}, the EAN {_ean('40' + d(10))}.",
        f"trace {uuid.UUID(int=r.getrandbits(128), version=4)} took {n(1, 999)} ms",
        f"sha256 {r.getrandbits(256):064x} md5 {r.getrandbits(128):032x}",
        f"at 20{n(10, 29)}-{n(1, 12):02}-{n(1, 28):02}T{n(10, 23)}:{n(10, 59)}:{n(10, 59)}.{d(6)}Z, {epoch}",
        f"Between {n(1900, 1999)} and {n(2000, 2029)}, sales rose from {d(3)} {d(3)} to {d(1)} {d(3)} {d(3)} units.",
        f"See git@example.org:team/repo-{d(3)}.git and icon@2x.png, or std::vector and a::b.",
        f"Part {letters(r, 2)}{d(6)}{letters(r, 1)} and SKU {d(8)}{letters(r, 1)} are out of stock.",
        f"The card {_changed(r, card(r, held=False))} was a typing error.",
        f"The account {_changed(r, iban(r, held=False))} does not exist.",
        f"Temperature {n(-20, 40)}.{n(0, 9)}, position {n(10, 89)}.{d(6)}, {n(10, 89)}.{d(6)}.",
        f"Es kamen {d(3)}.{d(3)} Besucher, {n(1, 99)} % mehr; +{d(2)} {d(3)} {d(3)} EUR.",
        f"订单号{d(11)}、金额{n(1, 999)},{d(3)}元、20{n(10, 29)}年{n(1, 12)}月{n(1, 28)}日送达。",
        f"バージョン{n(1, 9)}.{n(0, 20)}.{n(0, 99)}.{n(1, 99)}は{d(3)}円、在庫{d(8)}個。",
    ])  # fmt: skip


def held_out(r: Random) -> str:
    """A sentence of the other set."""
    d, n = lambda count: digits(r, count, "123456789"), r.randint
    wrong = NATIONAL[r.choice(sorted(set(NATIONAL) - {"GB nino", "DK"}))]
    return r.choice([
        f"Parcel {d(12)} (tracking 1Z{letters(r, 6)}{d(10)}) left depot {d(4)}.",
        f"We counted {d(9)} records and {d(11)} rows; {d(10)} bytes were read.",
        f"Ticket #{d(7)}, case {d(5)}-{d(4)}, contract {d(4)}-{d(6)}-{d(2)}.",
        f"Lot {d(6)}-{d(4)} expires {n(10, 12)}/{n(2026, 2032)}; serial {letters(r, 3)}-{d(4)}-{d(4)}-{d(4)}.",
        f"Die Chargennummer {d(6)}/{d(4)} und die Artikelnummer {d(3)}.{d(3)}.{d(2)} fehlen.",
        f"Pedido {d(8)}{letters(r, 1)}, importe {d(1)}.{d(3)},{d(2)} €, entrega el {n(1, 28)}-{n(1, 12)}-2027.",
        f"IMEI {luhn('35' + d(12))}, DOI 10.{d(4)}/{d(7)}.{d(4)}, ISSN {d(4)}-{d(4)}.",
        f"commit {r.getrandbits(160):040x}, request {r.getrandbits(64):016x}, etag {letters(r, 12, string.hexdigits)}",
        f"cpu 0x{r.getrandbits(32):08x} {n(1, 9)}.{n(0, 9)}.{n(0, 9)} Chrome/{n(90, 130)}.0.{d(4)}.{n(10, 199)}",
        f"Meeting {n(1, 28)}/{n(1, 12)}/27 {n(10, 19)}:00-{n(10, 19)}:30, room {n(1, 9)}.{n(100, 399)}, {d(3)} {d(3)}.",
        f"Budget 2025 2026 2027: {d(3)} {d(3)} {d(3)} kr, {d(2)} {d(3)} {d(3)} zł, {d(3)},{d(3)},{d(3)} JPY.",
        f"The number {_changed(r, wrong.tuned(wrong.make(r)))} fails its check.",
        f"log 20{n(10, 29)}{n(1, 12):02}{n(1, 28):02}{n(10, 23)}{n(10, 59)}{n(10, 59)} pid={d(5)} seq={d(12)} rc=0",
        f"from utils@main import x; pip install thing=={n(1, 9)}.{n(0, 9)}.{n(0, 9)}.post{n(1, 9)}; user@localhost",
        f"12:{n(10, 59)}:{n(10, 59)} fingerprint {':'.join(f'{r.getrandbits(8):02x}' for _ in range(16))}",
        f"Customer {d(10)} bought {n(2, 99)} items, voucher {d(4)}-{d(4)}-{d(4)}-{d(4)}, points {d(6)}.",
        f"发票号码{d(8)}共{d(5)}.{d(2)}元、第{d(9)}号箱、{n(10, 19)}:{n(10, 59)}到。",
        f"재고 {d(10)}개, 금액 {d(3)},{d(3)}원, {n(1, 12)}월 {n(1, 28)}일, 품목{d(6)}-{d(4)}.",
    ])  # fmt: skip
