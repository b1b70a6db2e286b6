"""Print the names that the packages show, with the first sentence of each, as they stand in docs/names.md.

python tools/names.py             # print them
python tools/names.py --write     # renew them in docs/names.md
"""

from __future__ import annotations

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRONTS = ("chatmodels", "chatmodels.testing", "generative_ai_workflow", "fmf.testing")
BEGIN, END = "<!-- names: python tools/names.py --write -->\n", "<!-- /names -->"
PAGE = ROOT / "docs" / "names.md"


def main() -> int:
    """Print the names, or write them."""
    if "--write" in sys.argv:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables(), end="")
    return 0


def renewed(text: str) -> str:
    """`text` with today's names between the marks."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + tables() + END, text, flags=re.DOTALL)


def tables() -> str:
    """A table for each package."""
    return "\n".join(table(front) for front in FRONTS)


def table(front: str) -> str:
    """The names of one package, each with what it is."""
    package = import_module(front)
    lines = [
        f"| `{name}` | {told(name, getattr(package, name))} |\n" for name in sorted(package.__all__, key=str.lower)
    ]
    return f"## `{front}`\n\n{sentence(package)}.\n\n| name | what it is |\n| --- | --- |\n{''.join(lines)}"


def told(name: str, thing: object) -> str:
    """What `thing` is, or which name it has beside this one."""
    own = getattr(thing, "__name__", name)
    return sentence(thing) if own == name else f"another name of `{own}`: {sentence(thing)}"


def sentence(thing: object) -> str:
    """The first sentence of its documentation, fit for a table."""
    first = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\w)[.;] |\.$", first)[0].replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
