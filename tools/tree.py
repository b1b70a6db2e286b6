"""Print the tree of src with the first sentence of every module, as it stands in STRUCTURE.md.

python tools/tree.py             # print it
python tools/tree.py --write     # renew it in STRUCTURE.md
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOREYS = ("fmf_core", "chatmodels", "generative_ai_workflow", "fmf")
BEGIN, END = "<!-- tree: python tools/tree.py --write -->\n```text\n", "```\n<!-- /tree -->"
WIDTH = 34


def main() -> int:
    """Print the tree, or write it."""
    if "--write" in sys.argv:
        path = ROOT / "STRUCTURE.md"
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tree(), end="")
    return 0


def renewed(text: str) -> str:
    """`text` with today's tree between the marks."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + tree() + END, text, flags=re.DOTALL)


def tree() -> str:
    """The modules of the four storeys, one a line."""
    return "".join(lines(ROOT / "src" / storey, 0) for storey in STOREYS)


def lines(folder: Path, depth: int) -> str:
    """The lines of one package: its own, then its modules, then its packages."""
    shown = line(f"{folder.name}/", folder / "__init__.py", depth)
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    shown += "".join(line(path.name, path, depth + 1) for path in modules)
    packages = sorted(path.parent for path in folder.glob("*/__init__.py"))
    return shown + "".join(lines(package, depth + 1) for package in packages)


def line(name: str, path: Path, depth: int) -> str:
    """One module with its first sentence."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(doc.split("\n\n")[0].split()).rstrip(".")
    indented = "  " * depth + name
    return f"{indented:<{WIDTH}} {sentence}\n".rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
