"""XML that grows when it is read, or that asks for other files."""

from __future__ import annotations


def laughs(root: str = "doc") -> str:
    """Ten entities, each of ten of the one before: a billion words."""
    rows = '<!ENTITY e0 "laughter ">' + "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10)
    )
    return f"<!DOCTYPE {root} [{rows}]>"


def quadratic(root: str = "doc", size: int = 100_000) -> str:
    """One long entity, to be named very often."""
    return f'<!DOCTYPE {root} [<!ENTITY long "{"quadratic " * (size // 10)}">]>'


def outside(root: str = "doc", uri: str = "file:///etc/passwd") -> str:
    """An entity that is another file."""
    return f'<!DOCTYPE {root} [<!ENTITY file SYSTEM "{uri}">]>'


def parameter(root: str = "doc") -> str:
    """A parameter entity that is to be fetched."""
    return f'<!DOCTYPE {root} [<!ENTITY % remote SYSTEM "http://127.0.0.1:9/evil.dtd"> %remote;]>'
