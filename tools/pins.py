"""Print the pinned, hashed requirements that a set of extras and groups needs, as cut out of constraints.txt.

    python tools/pins.py local build > requirements.txt     # core + extra `local` + group `build`
    python tools/pins.py '*'                                 # everything

pip checks hashes only when every requirement has one, and an editable install cannot; so the closure goes first,
with `--require-hashes`, and the project itself afterwards with `--no-deps`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def main(wanted: list[str]) -> int:
    """Write the closure of `wanted` to standard output."""
    pins = read_pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    chosen = set(pins) if "*" in wanted else closure(roots(wanted), pins)
    missing = chosen - set(pins)
    if missing:
        sys.stderr.write(f"constraints.txt lacks {', '.join(sorted(missing))}: run `make pins`\n")
        return 2
    sys.stdout.write("".join(pins[name].text for name in sorted(chosen)))
    return 0


class Pin:
    """One pinned package: its lines, and who asks for it."""

    def __init__(self, text: str) -> None:
        self.text = text
        notes = re.findall(r"^ +# +(?:via )?(\S+)", text, flags=re.MULTILINE)
        self.parents = {canonical(note) for note in notes if NAME.match(note)}


def read_pins(text: str) -> dict[str, Pin]:
    """The pins of a constraints file by canonical name."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {canonical(found[0]): Pin(block) for block in blocks if (found := NAME.match(block))}


def roots(wanted: list[str]) -> set[str]:
    """The direct requirements of the project with these extras and groups."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    tables = {**project["optional-dependencies"], **pyproject["dependency-groups"]}
    requirements = list(project["dependencies"])
    for name in wanted:
        requirements += tables[name]
    return {canonical(found[0]) for line in requirements if (found := NAME.match(line))}


def closure(names: set[str], pins: dict[str, Pin]) -> set[str]:
    """`names` and everything they ask for."""
    while more := {child for child, pin in pins.items() if pin.parents & names} - names:
        names = names | more
    return names


def canonical(name: str) -> str:
    """The one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
