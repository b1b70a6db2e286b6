"""The labelled set: business texts in twelve languages, made with a fixed seed, with the places of personal data."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from benchmarks.personal import values
from benchmarks.personal.national import NATIONAL
from benchmarks.personal.ordinary import held_out, tuned

SEED = 4
MAKERS = {
    "email": values.email, "phone": values.phone, "credit_card": values.card, "iban": values.iban, "ssn": values.ssn,
    "ip_address": values.ip, "mac_address": values.mac,
}  # fmt: skip
TUNED = {
    "email": (
        "Write to {} about it.",
        "Bitte antworten Sie an {}.",
        "Contactez {}, merci.",
        "<a href='mailto:{}'>mail</a>",
        "请联系{}谢谢。",
        "メールは{}です。",
    ),
    "phone": (
        "Please call {} before noon.",
        "Sie erreichen mich unter {}.",
        "Tél. : {}",
        "Mi teléfono es {}.",
        "tel {}, fax no",
        "私の電話番号は{}です。",
    ),
    "credit_card": (
        "Charge card {} exp 12/27.",
        "Kreditkarte {}, gültig bis 03/28.",
        "La carte {} est refusée.",
        "カード{}は無効です。",
    ),
    "iban": ("Transfer it to {} today.", "Unsere IBAN: {}.", "Virement sur {}, merci.", "账号{}已更改。"),
    "ssn": ("Her SSN is {}.", "Social Security number: {}", "SSN {}, born 1980", "她的SSN是{}。"),
    "ip_address": ("Login from {} failed.", "client={} status=200", "Die Anfrage kam von {}.", "来自{}的登录失败。"),
    "mac_address": ("Device {} joined.", "MAC {}", "Das Gerät {} ist neu.", "设备{}已上线。"),
    "credential": ("Use {} for now.", "Der Zugang: {}", "config:\n{}\n"),
    "national_id": ("{}", "Her {}.", "Angaben: {}, ledig.", "({})"),
}
HELD_OUT = {
    "email": (
        "cc: {}; subject: offer",
        "Scrivere a {} entro lunedì.",
        "Kontakt: {}\nDank",
        '{{"to": "{}"}}',
        "Skriv till {}!",
        "이메일은 {}입니다.",
        "副本发给{}即可",
    ),
    "phone": (
        "My new number: {}.",
        "{} (mobile)",
        "Bel me op {} a.u.b.",
        "Numer kontaktowy {}.",
        '{{"phone": "{}"}}',
        "WhatsApp {}",
        "联络请用{}谢谢",
        "{}로 연락 주세요",
    ),
    "credit_card": (
        "Paid with {}, CVV 123.",
        '{{"pan": "{}"}}',
        "Número de tarjeta {}.",
        "kort {} spärrat",
        "카드{}로 결제",
    ),
    "iban": ("Bonifico su {}.", "konto {}\n", '{{"iban": "{}"}}', "Refund to account {} (private).", "振込先{}まで"),
    "ssn": ("employee {} (SSN)", '{{"ssn": "{}"}}', "W-2 for {}", "社員{}の記録"),
    "ip_address": ("X-Forwarded-For: {}", "[{}] connected", "L'adresse {} est bloquée.", "ping {} ok", "主机{}离线"),
    "mac_address": ("lease for {} renewed", '{{"hw": "{}"}}', "carte réseau {}", "アダプタ{}を交換"),
    "credential": ("export {}", "Rotate it: {}", "Leaked in the log: {} !"),
    "national_id": ("Employee file: {}.", "Klant met {} is verhuisd.", "dati: {}; residente a Roma", "- {}\n"),
}
PLAIN = (
    "Thank you for your letter of last week.", "Die Lieferung ist vollständig.", "Nous restons à votre disposition.",
    "Quedamos a la espera de su respuesta.", "La riunione è stata spostata a martedì.", "De factuur is betaald.",
    "Zamówienie zostało wysłane.", "Obrigado pela sua paciência.", "Mötet är flyttat till torsdag.",
    "感谢您的来信。", "ご連絡ありがとうございます。", "회의가 연기되었습니다.",
)  # fmt: skip


class Labelled(NamedTuple):
    """A text, and what stands in it: start, end and kind of each."""

    text: str
    labels: list[tuple[int, int, str]]


def labelled(held: bool, count: int = 1_500, seed: int = SEED) -> Iterator[Labelled]:
    """So many texts: of the templates that the detector was tuned on, or of those held out."""
    r = Random(f"{seed} {'held out' if held else 'tuned'}")
    for _ in range(count):
        text, labels = "", []
        for _ in range(r.randint(3, 7)):
            choice = r.random()
            if choice < 0.45:
                sentence, place = _sentence(r, held)
                labels.append((len(text) + place[0], len(text) + place[1], place[2]))
            else:
                sentence = (held_out if held else tuned)(r) if choice < 0.85 else r.choice(PLAIN)
            text += sentence + r.choice([" ", "\n"])
        yield Labelled(text, labels)


def _sentence(r: Random, held: bool) -> tuple[str, tuple[int, int, str]]:
    templates = HELD_OUT if held else TUNED
    kind = r.choice([*templates, "phone", "national_id", "national_id"])
    before, _, after = r.choice(templates[kind]).replace("{{", "\0").replace("}}", "\1").partition("{}")
    before, after = (part.replace("\0", "{").replace("\1", "}") for part in (before, after))
    if kind == "credential":
        written, secret = values.credential(r, held)
        secret = secret or written
        start = len(before) + written.index(secret)
    elif kind == "national_id":
        row = NATIONAL[r.choice(list(NATIONAL))]
        secret = (row.held if held else row.tuned)(row.make(r))
        word = r.choice(row.held_words if held else row.tuned_words)
        written = secret if row.alone and r.random() < 0.3 else f"{word} {secret}"
        start = len(before) + written.index(secret)
    else:
        written = secret = MAKERS[kind](r, held)
        start = len(before)
    return before + written + after, (start, start + len(secret), kind)
