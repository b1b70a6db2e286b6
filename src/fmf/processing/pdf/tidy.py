"""The characters of a printed page made those of a text: ligatures, divided words, control signs."""

from __future__ import annotations

import re
from typing import Final

from fmf.config.processing import ProcessingConfig
from fmf.processing.characters.normalize import line_ends, normalized

DIVIDED: Final = "\x02"
"""What PDFium writes in place of a hyphen and the end of its line."""
_SOFT_HYPHEN: Final = "\u00ad"
_LIGATURES: Final = {
    0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st",
}  # fmt: skip
_GONE: Final = dict.fromkeys(
    code for code in (*range(0x20), 0x7F, 0xFEFF, 0xFFFE, 0xFFFF) if chr(code) not in {"\t", "\n", DIVIDED}
)
_SIGNS: Final = _LIGATURES | _GONE
_STRANGE: Final = re.compile("[" + "".join(re.escape(chr(code)) for code in _SIGNS) + "]")
_BREAK: Final = re.compile(rf"(?P<left>[^\W\d_]+)(?:{DIVIDED}|[-\u2010{_SOFT_HYPHEN}]\n)(?P<right>[^\W\d_]+)")
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_AFTER_STEM: Final = frozenset({"and", "bis", "e", "en", "et", "o", "oder", "of", "ou", "or", "to", "u", "und", "y"})
"""Words before which a hyphen stands for a part left out, as in `pre- and post-war`."""
_PART: Final = 4


def tidied(text: str, settings: ProcessingConfig) -> str:
    """The text of a page, tidy, its white space as the settings want it; empty where there is nothing else."""
    text = tidy(text)
    pieces = normalized([text]) if settings.text.normalize_whitespace else line_ends([text])
    text = "".join(pieces).strip("\n")
    return "" if text.isspace() else text


def tidy(text: str) -> str:
    r"""The text of a page with `\n` line ends, plain letters for ligatures, and divided words whole again.

    A hyphen at the end of a line goes, unless what follows is no small letter, or the word is written with the hyphen
    elsewhere on the page, or both of its parts are words of the page and the whole is not.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _STRANGE.search(text):
        text = text.translate(_SIGNS)
    if DIVIDED in text or "-\n" in text or "\u2010\n" in text or _SOFT_HYPHEN in text:
        words = {word.lower() for word in _WORD.findall(text)}
        text = _BREAK.sub(lambda found: _joined(found, words), text)
        text = text.replace(DIVIDED, "-").replace(_SOFT_HYPHEN, "")
    return text


def _joined(found: re.Match[str], words: set[str]) -> str:
    left, right = found["left"], found["right"]
    if _SOFT_HYPHEN in found[0]:
        return left + right
    if right.lower() in _AFTER_STEM:
        return f"{left}- {right}"
    if not right[0].islower():
        return f"{left}-{right}"
    whole, divided = (left + right).lower(), f"{left}-{right}".lower()
    if whole in words:
        return left + right
    parts = min(len(left), len(right)) >= _PART and left.lower() in words and right.lower() in words
    # The parts of this very break are among the words when PDFium's mark stands between them: count them elsewhere.
    if divided in words or (parts and _elsewhere(found, left) and _elsewhere(found, right)):
        return f"{left}-{right}"
    return left + right


def _elsewhere(found: re.Match[str], part: str) -> bool:
    """Whether the page has `part` as a word of its own, outside of this break."""
    outside = f"{found.string[: found.start()]} {found.string[found.end() :]}"
    return re.search(rf"(?<![\w{DIVIDED}-]){re.escape(part)}(?![\w{DIVIDED}-])", outside, re.IGNORECASE) is not None
