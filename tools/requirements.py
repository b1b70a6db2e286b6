"""Make the table of the specification: what it asks, the tests that show it, and how they ended.

python tools/requirements.py             # check it: every requirement has a test, and the page lists today's tests
python tools/requirements.py --write     # run these tests and renew docs/specification.md
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "specification.md"
BEGIN, END = "<!-- requirements: python tools/requirements.py --write -->\n", "<!-- /requirements -->"
MARK = "requirement"

REQUIREMENTS: Mapping[str, Mapping[str, str]] = {
    "Functional requirements": {
        "FR-001": "a workflow is a sequence of steps",
        "FR-002": "steps run in the defined order",
        "FR-003": "what a step makes is there for the next ones",
        "FR-004": "placeholders are filled from variables",
        "FR-005": "a failure names its step",
        "FR-006": "async and sync, chosen when a workflow is run, for the whole run",
        "FR-007": "an optional time limit for each run; when it is over, the state of that moment is returned",
        "FR-008": "a run can be cancelled; calls in flight may finish, and resources are put away",
        "FR-009": "OpenAI is built in, everything else is a plugin",
        "FR-010": "one interface to providers: sync only, async only or both",
        "FR-011": "tokens of every call are counted",
        "FR-012": "failed calls are retried with growing waits, three attempts unless set otherwise",
        "FR-013": "temperature, longest answer and model can be set",
        "FR-014": "every change of state is logged",
        "FR-015": "log lines are JSON",
        "FR-016": "token counts are there for programs",
        "FR-017": "the time of every step is measured",
        "FR-018": "a correlation id stands on everything that belongs to one run",
        "FR-019": "settings come from environment variables",
        "FR-019a": "settings and workflows come from YAML files",
        "FR-020": "settings are checked at the start, with clear errors",
        "FR-021": "what is optional has sensible defaults",
        "FR-022": "async is the default mode",
        "FR-023": "providers can be registered",
        "FR-024": "plugins have clear interfaces, sync or async",
        "FR-025": "a failing plugin fails its step and nothing else",
        "FR-026": "middleware hooks, sync or async",
        "FR-027": "no key and no other credential is logged",
        "FR-028": "secrets come from the environment",
        "FR-029": "input is validated against basic injection",
        "FR-030": "personal data can be found before it is sent",
        "FR-031": "a mock provider, sync and async",
        "FR-032": "calls are recorded and played back, sync and async",
        "FR-033": "costs are tracked, with a budget for tests",
    },
    "Success criteria": {
        "SC-001": "three steps in under 10 lines (sync) and under 15 (async)",
        "SC-002": "sync and async, with the same observability, safety and extensibility",
        "SC-003": "all model calls are counted, within 1 % of what the provider reports",
        "SC-004": "a provider is added without a change of the framework",
        "SC-005": "errors of configuration say what to do",
        "SC-006": "recordings cost nothing",
        "SC-007": "the documentation's first workflow runs as printed",
        "SC-008": "100 runs at once add at most 20 % to the framework's share of each",
    },
    "Edge cases": {
        "edge: provider fails": "a call takes too long, or a rate limit is hit",
        "edge: circular dependencies": "steps that depend on each other in a circle",
        "edge: no provider": "no provider is configured",
        "edge: token limits": "more tokens are used than expected",
        "edge: interrupted": "the process is killed or the server restarts",
        "edge: sync timeout": "a sync run takes longer than its limit",
        "edge: cancelled in flight": "an async run is cancelled while a model answers",
        "edge: sync cancellation": "somebody tries to cancel a sync run",
        "edge: non-blocking": "model calls of async runs do not block",
        "edge: exhausted resources": "many runs at once use up memory or file descriptors",
        "edge: thread safety": "sync runs in several threads",
        "edge: result kept": "a run ends before anybody asks for its result",
    },
    "User stories": {
        "story 1.1": "two steps run in a row, and the model's answer is returned",
        "story 1.2": "variables are filled from the input",
        "story 1.3": "a failing step is named, with the reason",
        "story 1.4": "an async run does not block its caller",
        "story 1.5": "a sync run within its limit returns at once when it is done",
        "story 1.6": "a sync run beyond its limit returns a timeout with the state of that moment",
        "story 2.1": "prompt, completion and total tokens of each call",
        "story 2.2": "durations and success of steps, and the total time",
        "story 2.3": "tokens and costs over many runs",
        "story 3.1": "a registered provider stands beside the built-in ones",
        "story 3.2": "a custom step has a lifecycle: initialize, execute, cleanup",
        "story 3.3": "a failing plugin is isolated, and logged by its name",
    },
    "Data model": {
        "data: TokenUsage": "tokens of one operation",
        "data: LLMRequest": "what a provider is asked",
        "data: LLMResponse": "what a provider answers",
        "data: WorkflowStatus": "states of a run",
        "data: StepStatus": "states of a step",
        "data: StepContext": "what a step sees",
        "data: StepResult": "what a step leaves",
        "data: ExecutionMetrics": "a run in numbers",
        "data: WorkflowResult": "what a run leaves",
        "data: FrameworkConfig": "ten settings, their defaults and variables",
        "data: design notes": "ids are UUIDs, times are UTC, counts are the provider's",
    },
}
KNOWN = {name: words for group in REQUIREMENTS.values() for name, words in group.items()}


def main() -> int:
    """Check the page, or write it."""
    found = marked()
    faults = faults_of(found)
    if "--write" in sys.argv and not faults:
        outcomes = run(found)
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(renewed(text, tables(found, outcomes)), encoding="utf-8")
        faults = [f"{test} {outcomes.get(test, 'did not run')}" for test in found if outcomes.get(test) != "passed"]
    elif not faults and listed(PAGE.read_text(encoding="utf-8")) != rows(found):
        faults = ["docs/specification.md does not list today's tests; run: python tools/requirements.py --write"]
    print("\n".join(faults) or f"{len(KNOWN)} requirements, {len(found)} tests")
    return 1 if faults else 0


def faults_of(found: Mapping[str, list[str]]) -> list[str]:
    """What is wrong with the marks of the tests."""
    used = {name for names in found.values() for name in names}
    strange = [(test, name) for test, names in found.items() for name in names if name not in KNOWN]
    return [
        *(f"no test shows {name}: {KNOWN[name]}" for name in KNOWN if name not in used),
        *(f"{test} names {name!r}, which is no requirement" for test, name in strange),
    ]


def marked() -> dict[str, list[str]]:
    """Each test that shows something, by its path below `tests` and its name, with the requirements that it names."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if f"mark.{MARK}(" in text:
            place = path.relative_to(TESTS).as_posix()
            found.update(_tests(ast.parse(text).body, place, _of_module(ast.parse(text))))
    return found


def _tests(body: Iterable[ast.stmt], place: str, names: list[str]) -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _tests(node.body, f"{place}::{node.name}", [*names, *_named(node.decorator_list)])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = [*names, *_named(node.decorator_list)]
            if own:
                yield f"{place}::{node.name}", list(dict.fromkeys(own))


def _of_module(tree: ast.Module) -> list[str]:
    given = [node.value for node in tree.body if isinstance(node, ast.Assign) and _is_pytestmark(node)]
    return _named(part for value in given for part in (value.elts if isinstance(value, ast.List) else [value]))


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _named(decorators: Iterable[ast.expr]) -> list[str]:
    return [
        str(argument.value)
        for call in decorators
        if isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{MARK}"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def run(found: Mapping[str, list[str]]) -> dict[str, str]:
    """Run the tests; how each ended, all of its parameters together."""
    import pytest

    recorder = Recorder()
    files = sorted({str(TESTS / test.partition("::")[0]) for test in found})
    pytest.main(["-q", "-m", MARK, "-p", "no:cacheprovider", *files], plugins=[recorder])
    return {test: outcome_of(outcomes) for test, outcomes in recorder.outcomes.items()}


class Recorder:
    """Writes down how tests end."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note the outcome of the test itself, and of what is around it when that fails."""
        if report.when == "call" or report.outcome != "passed":
            test = report.nodeid.partition("[")[0].removeprefix("tests/")
            self.outcomes[test][report.outcome] += 1


def outcome_of(outcomes: Counter[str]) -> str:
    """One word for all parameters of a test, or each outcome with its number."""
    if len(outcomes) == 1:
        return next(iter(outcomes))
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))


def renewed(text: str, table: str) -> str:
    """`text` with `table` between the marks."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + table + END, text, flags=re.DOTALL)


def rows(found: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Each requirement with each of its tests, in the order of the page."""
    return [(name, test) for name in KNOWN for test, names in found.items() if name in names]


def tables(found: Mapping[str, list[str]], outcomes: Mapping[str, str]) -> str:
    """A table for each group of requirements."""
    shown = ""
    for group, names in REQUIREMENTS.items():
        shown += f"\n## {group}\n\n| | what it says | test | result |\n| --- | --- | --- | --- |\n"
        before = ""
        for name, test in rows(found):
            if name in names:
                words = "" if name == before else names[name]
                shown += f"| {name} | {words} | `{test}` | {outcomes.get(test, 'did not run')} |\n"
                before = name
    return shown + "\n"


def listed(page: str) -> list[tuple[str, str]]:
    """Each requirement with each of its tests, as the page has them."""
    return re.findall(r"^\| ([^|]+?) \| [^|]*\| `([^`]+)` \| \w", page, re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
