"""How to install is said in one way, which works from a clone, and every extra stands in one table."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from fmf_core.registry import install_hint

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
INSTALL = re.compile(r"pip install [^`\n]*")
BY_NAME = re.compile(rf"pip install [^\n]*{PROJECT['name']}\[")


def texts() -> dict[str, str]:
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_nobody_is_told_to_install_from_an_index_that_does_not_have_it() -> None:
    assert [name for name, text in texts().items() if BY_NAME.search(text)] == []


def test_every_page_names_extras_that_exist() -> None:
    for name, text in texts().items():
        if name.endswith(".md"):
            named = {
                extra
                for line in INSTALL.findall(text)
                for group in re.findall(r"\[(.*?)\]", line)
                for extra in group.split(",")
            }
            assert named <= EXTRAS, name


def test_the_readme_has_one_table_of_all_extras() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Installing\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == EXTRAS
    assert "pip install -e ." in section


def test_a_hint_is_a_command_and_where_to_give_it() -> None:
    assert install_hint("aws") == "pip install -e '.[aws]' in a clone of frontier-model-framework"
