"""Check the shape of the code: how long modules and functions are, that no import runs in a circle, how deep they go.

    python tools/shape.py --check src/fmf_core+src/chatmodels     # several packages are measured as one tree

Module lines are physical lines. Function lines run from the first decorator or `def` to the last line, without the
docstring; a nested function counts inside its parent. For circles, imports inside functions and under TYPE_CHECKING
count as well, so none can hide there; for the longest chain only those that run when a module is imported.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
MODULE_LINES, FUNCTION_LINES, CHAIN_DEPTH = 400, 60, 16


@dataclass
class Module:
    """One file of the tree."""

    path: Path
    lines: int
    functions: dict[str, int]
    imports: set[str] = field(default_factory=set)
    imports_first: set[str] = field(default_factory=set)
    """Those of `imports` that run when the module is imported."""


def main() -> int:
    """Print what is over budget and one line of totals; exit status 1 when there is anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("packages", help="package folders joined by +")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when something is over budget")
    options = parser.parse_args()
    modules = read([Path(part) for part in options.packages.split("+")])
    graph = {name: module.imports for name, module in modules.items()}
    problems = [*over_budget(modules), *circles(graph)]
    if (depth := chain_depth({name: module.imports_first for name, module in modules.items()})) > CHAIN_DEPTH:
        problems.append(f"the longest chain of imports is {depth} modules > {CHAIN_DEPTH}")
    for problem in problems:
        print(problem)
    print(f"{len(modules)} modules, {len(problems)} over budget, longest chain of imports {depth}")
    return 1 if problems and options.check else 0


def read(roots: list[Path]) -> dict[str, Module]:
    """The modules below `roots` by dotted name, with the modules of the tree that each imports."""
    modules: dict[str, Module] = {}
    trees: dict[str, ast.Module] = {}
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            name = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
            text = path.read_text(encoding="utf-8")
            trees[name] = ast.parse(text)
            modules[name] = Module(path, text.count("\n"), dict(functions(trees[name], name)))
    for name, tree in trees.items():
        is_package = modules[name].path.name == "__init__.py"
        for candidates, first in imported(tree, name, is_package=is_package):
            target = next((candidate for candidate in candidates if candidate in modules), name)
            if target != name:
                modules[name].imports.add(target)
                modules[name].imports_first |= {target} if first else set()
    return modules


def functions(node: ast.AST, where: str) -> Iterator[tuple[str, int]]:
    """The functions and methods below `node` with their lines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            start = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            lines = (child.end_lineno or child.lineno) - start + 1
            if ast.get_docstring(child, clean=False) is not None:
                lines -= (child.body[0].end_lineno or 0) - child.body[0].lineno + 1
            yield f"{where}.{child.name}", lines
        else:
            yield from functions(child, f"{where}.{child.name}" if isinstance(child, ast.ClassDef) else where)


def imported(tree: ast.Module, name: str, *, is_package: bool) -> Iterator[tuple[list[str], bool]]:
    """For every imported name the dotted names that it may stand for, best first, and whether it runs on import."""
    package = name if is_package else name.rpartition(".")[0]
    for node, first in statements(tree, first=True):
        if isinstance(node, ast.Import):
            yield from (([alias.name], first) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield from (([f"{base}.{alias.name}", base], first) for alias in node.names)


def statements(node: ast.AST, *, first: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below `node`, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, FunctionNode) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        )
        yield child, first
        yield from statements(child, first=first and not later)


def over_budget(modules: dict[str, Module]) -> list[str]:
    """One line for every module and function that is too long."""
    long_modules = [f"{m.path}: {m.lines} lines > {MODULE_LINES}" for m in modules.values() if m.lines > MODULE_LINES]
    long_functions = [
        f"{name}: {lines} lines > {FUNCTION_LINES}"
        for module in modules.values()
        for name, lines in module.functions.items()
        if lines > FUNCTION_LINES
    ]
    return long_modules + long_functions


def circles(graph: dict[str, set[str]]) -> list[str]:
    """One line for every group of modules that import each other."""
    reach: dict[str, set[str]] = {name: reachable(name, graph) for name in graph}
    groups = {frozenset({name, *(other for other in reach[name] if name in reach[other])}) for name in graph}
    return [f"import circle: {', '.join(sorted(group))}" for group in sorted(groups, key=sorted) if len(group) > 1]


def reachable(name: str, graph: dict[str, set[str]]) -> set[str]:
    """Every module that `name` imports, directly or not."""
    found: set[str] = set()
    todo = [name]
    while todo:
        fresh = graph[todo.pop()] - found
        found |= fresh
        todo.extend(fresh)
    return found


def chain_depth(graph: dict[str, set[str]]) -> int:
    """How many modules stand on the longest path of imports; modules of a circle are counted once."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 0
            depths[name] = 1 + max((depth(target) for target in graph[name]), default=0)
        return depths[name]

    return max((depth(name) for name in graph), default=0)


if __name__ == "__main__":
    sys.exit(main())
