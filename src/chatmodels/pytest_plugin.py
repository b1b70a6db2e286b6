"""The pytest plugin: fixtures that record and replay models, forbid requests, and keep tests to a budget."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Whoever installs the distribution loads this with every run of pytest: all else is imported when a fixture is used.
if TYPE_CHECKING:
    from chatmodels.config import Price
    from chatmodels.iface import ChatModel
    from chatmodels.spending import Budget
    from chatmodels.testing.budget import ModelBudget
    from chatmodels.testing.recordings import Source

MODES = ("none", "once", "new", "all")
SPEND = "model_spend"
LONGEST_NAME = 120
"""How many characters the name of a recording may have; file systems take about 255 bytes."""

_budgets: pytest.StashKey[list[Budget]] = pytest.StashKey()
_whole_run: pytest.StashKey[Budget] = pytest.StashKey()
_begun: pytest.StashKey[tuple[float, int, int]] = pytest.StashKey()
"""What the run had spent, asked and been refused when a test began."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings of chat models."""
    group = parser.getgroup("chatmodels", "chat models")
    group.addoption(
        "--record-models",
        choices=MODES,
        help="what the fixture recorded_model asks of models: nothing (none), everything where there is no recording "
        "yet (once), what is not on record (new), everything (all); default: the setting record_models",
    )
    group.addoption("--forbid-models", action="store_true", help="forbid requests to real models in every test")
    group.addoption("--model-budget", type=float, metavar="USD", help="what the models of the whole run may cost")
    parser.addini("record_models", "as --record-models, but none wherever the variable CI is set", default="none")
    parser.addini("forbid_models", "as --forbid-models", type="bool", default=False)
    parser.addini("model_budget", "as --model-budget", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Check the settings, and put the budget of the whole run in force."""
    config.addinivalue_line("markers", "allow_models: requests to real models are allowed, whatever forbid_models says")
    mode = config.getini("record_models")
    if mode not in MODES:
        raise pytest.UsageError(f"record_models must be one of {', '.join(MODES)}, got {mode!r}")
    if _forbids(config):
        # From now on and not test by test: fixtures of modules and of the session are no test's own.
        from chatmodels.testing.forbidding import forbid_model_requests

        ban = forbid_model_requests()
        ban.__enter__()
        config.add_cleanup(lambda: ban.__exit__(None, None, None))
    limit_usd = _limit_of_the_run(config)
    if limit_usd is None:
        return
    from chatmodels.spending import Budget

    budget = Budget(limit_usd)
    budget.__enter__()
    config.add_cleanup(lambda: budget.__exit__(None, None, None))
    config.stash[_whole_run] = budget


@pytest.fixture
def recording_path(request: pytest.FixtureRequest) -> Path:
    """Where the recording of a test lies: `recordings/<module>/<test>.jsonl` beside its file; override it at will."""
    path: Path = request.node.path
    # A module-level name is `test_x[a]`, that of a method `TestY.test_x[a]`; between the brackets anything may stand.
    test, bracket, parameters = request.node.nodeid.partition("::")[2].partition("[")
    name = f"{test.replace('::', '.')}{bracket}{parameters}"
    return path.parent / "recordings" / path.stem / f"{_file_name(name)}.jsonl"


@pytest.fixture
def recorded_model(request: pytest.FixtureRequest, recording_path: Path) -> Iterator[Callable[..., ChatModel]]:
    """A function that gives models which are replayed, or recorded where `--record-models` says so.

        def test_summary(recorded_model):
            model = recorded_model("openai", model="gpt-4o-mini", temperature=0.0)
            assert "wheels" in model.invoke("What is a bicycle?").content

    It takes what `create_chat_model` takes, a ready model, or a function that makes one.
    """
    from chatmodels.testing.forbidding import allow_model_requests
    from chatmodels.testing.recordings import Recordings
    from fmf_core.portal import run_sync

    mode = _mode(request.config)
    wanted = "new" if recording_path.exists() else "once"
    command = f"pytest {shlex.quote(request.node.nodeid)} --record-models={wanted}"
    recordings = Recordings(recording_path, mode, hint=f"record it: {command}")

    with ExitStack() as stack:
        if recordings.may_ask:
            stack.enter_context(allow_model_requests())

        def model(source: Source = "openai", **settings: Any) -> ChatModel:
            made = recordings.model(source, **settings)
            stack.callback(lambda: run_sync(made.cleanup()))  # each of them, whatever the others fail with
            return made

        yield model


@pytest.fixture
def forbid_models() -> Iterator[None]:
    """Forbid requests to real models in this test, in every thread; mock and replay go on answering."""
    from chatmodels.testing.forbidding import forbid_model_requests

    with forbid_model_requests():
        yield


@pytest.fixture
def allow_models() -> Iterator[None]:
    """Allow requests to real models in this test, whatever `forbid_models` says."""
    from chatmodels.testing.forbidding import allow_model_requests

    with allow_model_requests():
        yield


@pytest.fixture
def model_budget(request: pytest.FixtureRequest) -> Iterator[Callable[..., ModelBudget]]:
    """A function that gives the test a budget: the call after the one that spends it is refused, and the test fails.

        def test_real_summary(model_budget):
            budget = model_budget(limit_usd=0.01)
            ...

    It takes `limit_usd` (`None` only counts) and `prices`; what was spent stands in the summary of the run.
    """
    from chatmodels.testing.budget import ModelBudget

    # A test that is run again begins with no budgets.
    budgets = request.node.stash[_budgets] = []
    with ExitStack() as stack:

        def begin(
            limit_usd: float | None = None, *, prices: Mapping[str, Price | Mapping[str, Any]] | None = None
        ) -> ModelBudget:
            budget = stack.enter_context(ModelBudget(limit_usd, prices=prices))
            budgets.append(budget)
            return budget

        yield begin


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Allow requests for a test that is marked so, and for the fixtures that are made for it."""
    if not _forbids(item.config) or item.get_closest_marker("allow_models") is None:
        return (yield)
    from chatmodels.testing.forbidding import allow_model_requests

    with allow_model_requests():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note what was spent before: what a fixture spends counts for the test that it is made for."""
    whole = item.config.stash.get(_whole_run, None)
    if whole:
        item.stash[_begun] = (whole.spent_usd, whole.calls, whole.refused)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that went over its budget, whatever became of the error that told it; note what it spent."""
    whole = item.config.stash.get(_whole_run, None)
    before = item.stash.get(_begun, (0.0, 0, 0))
    try:
        result = yield
    finally:
        spent = [(budget.spent_usd, budget.calls, budget.limit_usd) for budget in item.stash.get(_budgets, [])]
        if whole and whole.calls > before[1]:
            spent.append((whole.spent_usd - before[0], whole.calls - before[1], None))
        if spent:
            item.user_properties.append((SPEND, max(spent, key=lambda entry: entry[:2])))
    _check([*item.stash.get(_budgets, []), *([whole] if whole and whole.refused > before[2] else [])])
    return result


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what the tests spent on models."""
    spent: dict[str, tuple[float, int, float | None]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                spent.update((report.nodeid, entry) for name, entry in report.user_properties if name == SPEND)
    if not spent:
        return
    terminalreporter.write_sep("=", "spent on models")
    for name, (cost, calls, limit_usd) in sorted(spent.items()):
        allowed = "" if limit_usd is None else f" of ${limit_usd:.6f}"
        terminalreporter.write_line(f"${cost:.6f}{allowed}  {calls} calls  {name}")
    total = sum(cost for cost, _, _ in spent.values())
    terminalreporter.write_line(f"${total:.6f} in all")


def _check(budgets: list[Budget]) -> None:
    for budget in budgets:
        if budget.exceeded:
            pytest.fail(f"over budget: {budget.complaint}", pytrace=False)


def _mode(config: pytest.Config) -> str:
    asked: str | None = config.getoption("record_models")
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return asked or ("none" if in_ci else str(config.getini("record_models")))


def _forbids(config: pytest.Config) -> bool:
    return bool(config.getoption("forbid_models") or config.getini("forbid_models"))


def _limit_of_the_run(config: pytest.Config) -> float | None:
    given = config.getoption("model_budget")
    if given is None:
        given = config.getini("model_budget")
    if given == "":
        return None
    try:
        limit_usd = float(given)
    except ValueError:
        limit_usd = -1
    if not 0 <= limit_usd < float("inf"):
        raise pytest.UsageError(f"model_budget must be US dollars, 0 or more, got {given!r}")
    # Workers of pytest-xdist do not know of each other, so each gets its share.
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    return limit_usd / workers


def _file_name(name: str) -> str:
    """`name` as every file system takes it; two names never become one, also where case does not count."""
    plain = re.sub(r"[^\w.\[\]=,+-]+", "_", name)
    # Names of classes have their capitals in the usual places; parameters may differ by case alone.
    test = re.sub(r"\A(?:Test\w*\.)+", "", name)
    if plain == name and test == test.lower() and len(plain) <= LONGEST_NAME:
        return plain
    from hashlib import sha256

    return f"{plain[:LONGEST_NAME]}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
