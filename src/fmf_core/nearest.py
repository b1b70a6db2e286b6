"""Names that were probably meant: the nearest known one, and the hint that lists them."""

from __future__ import annotations

from collections.abc import Iterable

MOST_SHOWN = 30
"""How many names a hint lists."""


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant, whatever its case; `None` when none is near.

    Args:
        word: what was written.
        known: what could have been.
        cutoff: how alike they must be, from 0 (anything) to 1 (the same).
    """
    # Imported here: most programs never misspell anything.
    from difflib import get_close_matches

    table = {other.lower(): other for other in known}
    near = get_close_matches(word.lower(), table, n=1, cutoff=cutoff)
    return table[near[0]] if near else None


def known_hint(word: str, known: Iterable[str], *, what: str = "known", none: str = "none", cutoff: float = 0.6) -> str:
    """A hint that names the nearest known word and lists the others: `did you mean 'mail'? known: mail, notes`.

    Args:
        word: what was written; empty where nothing was.
        known: what could have been, in the order to list them.
        what: what the list is called.
        none: what stands there when nothing is known.
        cutoff: as for `nearest`.
    """
    names = list(known)
    near = nearest(word, names, cutoff=cutoff) if word else None
    guess = f"did you mean {near!r}? " if near else ""
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{guess}{what}: {', '.join(names[:MOST_SHOWN]) or none}{more}"
