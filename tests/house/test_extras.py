"""No extra brings a package that nothing here uses."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = sorted(
    {
        (extra, re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
        for extra, requirements in PROJECT["optional-dependencies"].items()
        for requirement in requirements
        if not requirement.startswith(f"{PROJECT['name']}[")
    }
)
DATA_SUFFIX = ".traineddata"
"""Files that `fmf.processing.ocr.tessdata` finds; a package of them has no modules."""


def imported() -> set[str]:
    """Every module that the sources import, also by a name in a text, such as `import_module(NAME)`."""
    names: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
                names |= {node.value.value} if isinstance(node.value.value, str) else set()
    return names


IMPORTED = imported()


def modules_of(package: str) -> set[str]:
    """The modules at the top of a distribution; inside a namespace that several share, the first of its own."""
    files = [PurePosixPath(str(file)) for file in distribution(package).files or ()]
    homes = {file.parent for file in files if file.stem == "__init__" and file.suffix in {".py", ".pyi"}}
    tops = {home for home in homes if not homes & set(home.parents)}
    return {".".join(top.parts) for top in tops} | {
        file.stem for file in files if len(file.parts) == 1 and file.suffix == ".py"
    }


@pytest.mark.parametrize(("extra", "package"), REQUIREMENTS)
def test_a_package_of_an_extra_is_imported_somewhere(extra: str, package: str) -> None:
    modules = modules_of(package)
    if not modules:
        assert any(str(file).endswith(DATA_SUFFIX) for file in distribution(package).files or ()), package
        return
    used = {name for module in modules for name in IMPORTED if name == module or name.startswith(f"{module}.")}
    assert used, f"nothing imports {' or '.join(sorted(modules))}, which the extra {extra} brings"


def test_a_package_that_nothing_uses_is_noticed() -> None:
    assert modules_of("pytest-timeout") == {"pytest_timeout"}
    assert "pytest_timeout" not in IMPORTED
