"""The committed text speaks of the project alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Put together at run time, so that this file does not hold what it looks for.
ADDRESSES = [r"p" + r"ypi\.org/simple", r"python" + r"hosted\.", r"registry\.n" + r"pmjs"]
FOLDERS = [rf"(?<![.\w/-])/{name}/" for name in ("wo" + "rk", "fa" + "rm", "ro" + "ot", "ho" + "me/\\w+")]
UNFINISHED = [r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"NotImplemented" + r"Error"]


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def found(patterns: list[str], paths: list[Path]) -> list[str]:
    pattern = re.compile("|".join(patterns))
    hits = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        hits += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    return hits


def test_no_address_of_a_package_index_and_no_folder_of_a_machine() -> None:
    assert found([*ADDRESSES, *FOLDERS], committed()) == []


def test_nothing_in_the_product_is_unfinished() -> None:
    assert found(UNFINISHED, [path for path in committed() if "src" in path.relative_to(ROOT).parts[:1]]) == []


def test_no_committed_file_is_large() -> None:
    assert [str(path) for path in committed() if path.stat().st_size > 1_000_000] == []
