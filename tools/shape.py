#!/usr/bin/env python3
"""Measure the shape of Python packages: sizes, surface, layering, habits.

    python shape.py src/httpx src/starlette          # one markdown column per package
    python shape.py --worst 10 src/pkg               # also the largest modules/functions and the cycles
    python shape.py --rooms src/pkg                  # also who imports whom between top-level rooms
    python shape.py --check --max-module 400 --max-function 60 src/pkg   # exit 1 over budget

A path may be followed by `=LABEL`.  Several paths joined by `+` are measured as one tree
(`src/chatmodels+src/generative_ai_workflow+src/fmf=ours`).  Only the standard library is used.

Definitions
  module lines    physical lines of a file, __init__.py files left out of the percentiles if < 3 lines
  function lines  first decorator or `def` to last line, minus the docstring; nested functions count once,
                  inside their parent
  public names    len(__all__) when literal, else top-level defs/classes/assigned names without a leading _
  chain depth     modules on the longest import path, import-time imports only, cycles counted as one module
  hard cycle      strongly connected modules through imports that run at import time
  soft cycle      the same, counting imports inside functions and under TYPE_CHECKING too
  mirror tax      share of function lines that are the async twin of a sync function written in the same tree
                  (`acomplete` beside `complete`, `run_async` beside `run`, `AsyncClient.send` beside `Client.send`)
  room            a direct child (file or folder) of a measured package
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SKIPPED_FOLDERS = {
    "__pycache__",
    "tests",
    "test",
    "testing_data",
    "node_modules",
    "_vendor",
    "vendor",
    ".git",
    "cassettes",
}
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Function:
    where: str
    lines: int
    arguments: int
    public: bool
    documented: bool
    typed: bool
    is_async: bool

    @property
    def name(self) -> str:
        return self.where.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """The class that holds the function, or '' at module level."""
        holder = self.where.split(".")[-2]
        return holder if holder.lstrip("_")[:1].isupper() else ""


@dataclass
class Module:
    name: str
    path: Path
    is_package: bool
    lines: int
    comments: int
    public_names: int
    has_docstring: bool
    functions: list[Function] = field(default_factory=list)
    classes: int = 0
    class_bases: int = 0
    hard_imports: set[str] = field(default_factory=set)  # resolved to modules of the tree
    soft_imports: set[str] = field(default_factory=set)  # in functions or under TYPE_CHECKING


# ---------------------------------------------------------------- reading one module


def read_module(name: str, path: Path) -> tuple[Module, ast.Module]:
    text = path.read_text(encoding="utf-8", errors="replace")
    tree = ast.parse(text)
    lines = text.splitlines()
    module = Module(
        name=name,
        path=path,
        is_package=path.name == "__init__.py",
        lines=len(lines),
        comments=sum(line.lstrip().startswith("#") for line in lines),
        public_names=count_public_names(tree),
        has_docstring=ast.get_docstring(tree) is not None,
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            module.classes += 1
            module.class_bases += bool(node.bases)
    module.functions = list(outer_functions(tree, name))
    return module, tree


def count_public_names(tree: ast.Module) -> int:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            if isinstance(node.value, ast.List | ast.Tuple):
                return len(node.value.elts)
        names.update(bound_names(node))
    return sum(not name.startswith("_") for name in names)


def bound_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, FunctionNode | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (t.id for t in node.targets if isinstance(t, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def outer_functions(node: ast.AST, where: str, public: bool = True) -> Iterator[Function]:
    """Functions and methods, not descending into a function's own body."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FunctionNode):
            yield describe_function(child, where, public)
        elif isinstance(child, ast.ClassDef):
            yield from outer_functions(child, f"{where}.{child.name}", public and not child.name.startswith("_"))
        else:
            yield from outer_functions(child, where, public)


def describe_function(node: FunctionNode, where: str, public: bool) -> Function:
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    length = (node.end_lineno or node.lineno) - start + 1
    docstring = ast.get_docstring(node, clean=False)
    if docstring is not None:
        first = node.body[0]
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = [a for a in arguments if a.arg not in {"self", "cls"}]
    return Function(
        where=f"{where}.{node.name}",
        lines=length,
        arguments=len(named),
        public=public and not node.name.startswith("_"),
        documented=docstring is not None,
        typed=node.returns is not None and all(a.annotation for a in named),
        is_async=isinstance(node, ast.AsyncFunctionDef),
    )


# ---------------------------------------------------------------- imports and layering


def imports_of(tree: ast.Module, module: Module) -> Iterator[tuple[list[str], bool]]:
    """Yield (candidate dotted names, best first; runs at import time)."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]

    def visit(node: ast.AST, hard: bool) -> Iterator[tuple[list[str], bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (([alias.name], hard) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parts = package.split(".")
                    parts = parts[: len(parts) - child.level + 1]
                    base = ".".join([*parts, base] if base else parts)
                yield from (([f"{base}.{alias.name}", base], hard) for alias in child.names)
            elif isinstance(child, FunctionNode | ast.Lambda) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            ):
                yield from visit(child, False)
            else:
                yield from visit(child, hard)

    yield from visit(tree, True)


def link(modules: dict[str, Module], trees: dict[str, ast.Module]) -> None:
    for name, module in modules.items():
        for candidates, hard in imports_of(trees[name], module):
            target = next((c for c in candidates if c in modules), None)
            if target and target != name:
                (module.hard_imports if hard else module.soft_imports).add(target)


def components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components, dependencies before dependents (Tarjan, iterative)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: set[str] = set()
    stack: list[str] = []
    found: list[list[str]] = []
    for root in sorted(graph):
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(sorted(graph[target]))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member == node:
                            break
                    found.append(sorted(group))
    return found


def chain_depth(graph: dict[str, set[str]]) -> int:
    groups = components(graph)
    group_of = {name: i for i, group in enumerate(groups) for name in group}
    depth: dict[int, int] = {}
    for i, group in enumerate(groups):  # dependencies come first
        below = {group_of[t] for name in group for t in graph[name]} - {i}
        depth[i] = 1 + max((depth[j] for j in below), default=0)
    return max(depth.values(), default=0)


# ---------------------------------------------------------------- one tree


@dataclass
class Tree:
    label: str
    modules: dict[str, Module]

    @classmethod
    def read(cls, argument: str) -> Tree:
        paths, _, label = argument.partition("=")
        roots = [Path(p) for p in paths.split("+")]
        modules: dict[str, Module] = {}
        trees: dict[str, ast.Module] = {}
        for root in roots:
            files = [root] if root.is_file() else sorted(root.rglob("*.py"))
            for file in files:
                parts = file.relative_to(root.parent).with_suffix("").parts
                if SKIPPED_FOLDERS & set(parts[1:-1]):
                    continue
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                try:
                    modules[name], trees[name] = read_module(name, file)
                except SyntaxError as error:
                    print(f"skipped {file}: {error}", file=sys.stderr)
        link(modules, trees)
        return cls(label or roots[0].name, modules)

    def graph(self, *, soft: bool) -> dict[str, set[str]]:
        return {n: m.hard_imports | (m.soft_imports if soft else set()) for n, m in self.modules.items()}

    def cycles(self, *, soft: bool) -> list[list[str]]:
        return [group for group in components(self.graph(soft=soft)) if len(group) > 1]

    def rooms(self, *, soft: bool = True) -> dict[str, set[str]]:
        def room(name: str) -> str:
            return ".".join(name.split(".")[:2])

        edges: dict[str, set[str]] = {}
        for name, targets in self.graph(soft=soft).items():
            edges.setdefault(room(name), set()).update(room(t) for t in targets if room(t) != room(name))
        packages = {name.split(".")[0] for name in edges}  # a bare package name is its facade, not a room
        return {r: {t for t in ts if t not in packages} for r, ts in edges.items() if r not in packages}

    def functions(self) -> list[Function]:
        return [f for m in self.modules.values() for f in m.functions]

    def mirrored_lines(self) -> int:
        sync = {(f.owner.replace("Async", ""), f.name) for f in self.functions() if not f.is_async}

        def has_twin(f: Function) -> bool:
            bare = {f.name, f.name.removeprefix("a"), f.name.replace("_async", ""), f.name.replace("async_", "")}
            return any((f.owner.replace("Async", ""), name) in sync for name in bare)

        return sum(f.lines for f in self.functions() if f.is_async and has_twin(f))

    def measures(self) -> dict[str, str]:
        modules = [m for m in self.modules.values() if not (m.is_package and m.lines < 3)]
        functions = self.functions()
        public = [f for f in functions if f.public]
        lines = [m.lines for m in modules]
        lengths = [f.lines for f in functions]
        hard, soft = self.cycles(soft=False), self.cycles(soft=True)
        rooms = self.rooms()
        tangled = [g for g in components(rooms) if len(g) > 1]
        total = sum(lines)
        return {
            "modules": str(len(modules)),
            "lines": str(total),
            "module lines med/p95/max": triple(lines),
            "functions": str(len(functions)),
            "function lines med/p95/max": triple(lengths),
            "functions > 60 lines": percent(sum(n > 60 for n in lengths), len(lengths)),
            "arguments med/p95/max": triple([f.arguments for f in functions]),
            "public names/module med/p95/max": triple([m.public_names for m in modules]),
            "classes (with a base)": f"{sum(m.classes for m in modules)} ({sum(m.class_bases for m in modules)})",
            "folder depth max": str(max(n.count(".") for n in self.modules) + 1),
            "import chain depth": str(chain_depth(self.graph(soft=False))),
            "hard cycles (modules in them)": f"{len(hard)} ({sum(map(len, hard))})",
            "soft cycles (modules in them)": f"{len(soft)} ({sum(map(len, soft))})",
            "rooms (in a tangle)": f"{len(rooms)} ({sum(map(len, tangled))})",
            "modules with docstring": percent(sum(m.has_docstring for m in modules), len(modules)),
            "public functions documented": percent(sum(f.documented for f in public), len(public)),
            "functions fully typed": percent(sum(f.typed for f in functions), len(functions)),
            "async functions": percent(sum(f.is_async for f in functions), len(functions)),
            "mirror tax": percent(self.mirrored_lines(), sum(lengths)),
            "comment lines": percent(sum(m.comments for m in modules), total),
        }


def percentile(values: Iterable[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))] if ordered else 0


def triple(values: list[int]) -> str:
    return f"{percentile(values, 0.5)}/{percentile(values, 0.95)}/{max(values, default=0)}"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "-"


# ---------------------------------------------------------------- report


def print_table(trees: list[Tree]) -> None:
    columns = [tree.measures() for tree in trees]
    print("| measure | " + " | ".join(t.label for t in trees) + " |")
    print("|---|" + "---:|" * len(trees))
    for row in columns[0]:
        print(f"| {row} | " + " | ".join(column[row] for column in columns) + " |")


def print_worst(tree: Tree, count: int) -> None:
    print(f"\n## {tree.label}: largest modules")
    for module in sorted(tree.modules.values(), key=lambda m: -m.lines)[:count]:
        print(f"{module.lines:6} {module.name}")
    print(f"\n## {tree.label}: largest functions")
    for function in sorted(tree.functions(), key=lambda f: -f.lines)[:count]:
        print(f"{function.lines:6} {function.where}")
    for kind in (False, True):
        print(f"\n## {tree.label}: {'soft' if kind else 'hard'} cycles")
        for group in sorted(tree.cycles(soft=kind), key=len, reverse=True)[:count]:
            print(f"{len(group):4} {', '.join(group[:8])}{' ...' if len(group) > 8 else ''}")


def print_rooms(tree: Tree) -> None:
    print(f"\n## {tree.label}: rooms, foundations first")
    edges = tree.rooms()
    for group in components(edges):
        mark = "TANGLE " if len(group) > 1 else ""
        targets = set().union(*(edges[r] for r in group)) - set(group)
        print(f"{mark}{', '.join(group)} -> {', '.join(sorted(targets)) or '(nothing)'}")


def over_budget(tree: Tree, max_module: int, max_function: int) -> list[str]:
    problems = [f"{m.path}: {m.lines} lines > {max_module}" for m in tree.modules.values() if m.lines > max_module]
    problems += [f"{f.where}: {f.lines} lines > {max_function}" for f in tree.functions() if f.lines > max_function]
    problems += [f"import cycle: {' <-> '.join(group)}" for group in tree.cycles(soft=True)]
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--worst", type=int, default=0, metavar="N")
    parser.add_argument("--rooms", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--max-module", type=int, default=400)
    parser.add_argument("--max-function", type=int, default=60)
    options = parser.parse_args()
    trees = [Tree.read(path) for path in options.paths]
    if options.check:
        problems = [p for tree in trees for p in over_budget(tree, options.max_module, options.max_function)]
        print("\n".join(problems), end="\n" if problems else "")
        modules = sum(len(tree.modules) for tree in trees)
        print(f"{modules} modules, {len(problems)} over budget or in a cycle")
        return 1 if problems else 0
    print_table(trees)
    for tree in trees:
        if options.worst:
            print_worst(tree, options.worst)
        if options.rooms:
            print_rooms(tree)
    return 0


if __name__ == "__main__":
    sys.exit(main())
