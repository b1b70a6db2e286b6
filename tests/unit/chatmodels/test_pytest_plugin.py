from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

MODEL = '''
import pytest
from chatmodels import ChatModel, ChatModelError, MockChatModel, create_chat_model, register_chat_model
from chatmodels.guard import check_allowed
from chatmodels.types import TokenUsage

USAGE = TokenUsage(prompt_tokens=1_000_000, completion_tokens=0, model="gpt-4o-mini", provider="openai")   # $0.15

class Remote(MockChatModel):
    """A model that asks before it makes a request, as all of them do, and notes it in a file."""

    in_process = False
    stream_async = ChatModel.stream_async

    def __init__(self):
        super().__init__("recorded", usage=USAGE)

    async def complete_async(self, request):
        check_allowed("remote", request.model)
        with open("asked.txt", "a") as file:
            file.write(request.prompt + "\\n")
        return await super().complete_async(request)

register_chat_model("remote", Remote, replace=True)
'''


class Project:
    """A folder with tests, and pytest over it in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pytest.ini", "[pytest]\n")
        self.write("test_it.py", MODEL)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def tests(self, text: str, name: str = "test_it.py") -> None:
        self.write(name, MODEL + text)

    def run(self, *arguments: str, **environment: str) -> str:
        """What pytest printed, with its exit status in the last line."""
        kept = {key: value for key, value in os.environ.items() if key not in ("CI", "PYTEST_ADDOPTS")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONWARNINGS": "", "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return f"{done.stdout}{done.stderr}\nexit {done.returncode}"

    @property
    def asked(self) -> list[str]:
        """The prompts that the model was asked."""
        path = self.folder / "asked.txt"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def outcome(text: str) -> dict[str, int]:
    """`{"passed": 2, "failed": 1}`, from pytest's last line."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)\b", text)}


def test_it_is_installed_with_the_distribution() -> None:
    [point] = entry_points(group="pytest11", name="chatmodels")
    assert point.value == "chatmodels.pytest_plugin"


def test_it_offers_the_modes_of_recordings() -> None:
    from chatmodels.pytest_plugin import MODES
    from chatmodels.testing import RecordMode

    # They are named again there, for the plugin is loaded with every run of pytest and imports next to nothing.
    assert tuple(RecordMode) == MODES


def test_it_costs_next_to_nothing_when_it_is_not_used() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import chatmodels.pytest_plugin\n"
        "found = {name for name in set(sys.modules) - before if name.split('.')[0] not in ('fmf_core', 'chatmodels')}\n"
        "assert not {'pydantic', 'yaml', 'asyncio', 'openai'} & found, found\n"
        "assert 'chatmodels.types' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_product_does_not_need_pytest() -> None:
    code = (
        "import sys\nsys.modules['pytest'] = None\n"
        "from chatmodels import *\nfrom chatmodels.testing import *\n"
        "ReplayModel, ChatModelExam, ModelBudget, Recordings\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


RECORDED = """
def test_whole(recorded_model):
    assert recorded_model("remote", model="gpt-4o").invoke("whole").content == "recorded"

class TestThings:
    @pytest.mark.parametrize("case", ["a", "b/c"])
    def test_stream(self, recorded_model, case):
        assert "".join(chunk.text for chunk in recorded_model(Remote).stream("stream")) == "recorded"

async def ask(model):
    return await model.ainvoke("awaited")

def test_async(recorded_model):
    import asyncio
    with asyncio.Runner() as runner:
        assert runner.run(ask(recorded_model("remote"))).content == "recorded"
"""


def test_a_test_is_recorded_once_and_then_replayed(project: Project) -> None:
    project.tests(RECORDED)
    assert outcome(project.run("--record-models=once")) == {"passed": 4}
    assert sorted(project.asked) == ["awaited", "stream", "stream", "whole"]
    folder = project.folder / "recordings" / "test_it"
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == ["TestThings.test_stream[a].jsonl", names[1]]
    assert re.fullmatch(r"TestThings\.test_stream\[b_c\]-\w{8}\.jsonl", names[1])
    assert names[2:] == ["test_async.jsonl", "test_whole.jsonl"]
    assert json.loads((folder / "test_whole.jsonl").read_text())["request"]["model"] == "gpt-4o"
    for arguments in ([], ["--record-models=once"], ["--record-models=new"], ["--forbid-models"]):
        assert outcome(project.run(*arguments)) == {"passed": 4}
    assert len(project.asked) == 4
    assert outcome(project.run("--record-models=all")) == {"passed": 4}
    assert len(project.asked) == 8


def test_names_that_differ_by_case_alone_have_files_of_their_own(project: Project) -> None:
    project.tests(
        """
@pytest.mark.parametrize("which", ["a", "A"])
def test_it(recorded_model, which):
    assert recorded_model("remote").invoke(which)
"""
    )
    assert outcome(project.run("--record-models=once")) == {"passed": 2}
    names = [path.name.lower() for path in (project.folder / "recordings" / "test_it").iterdir()]
    assert len(set(names)) == 2
    assert "test_it[a].jsonl" in names


def test_names_that_differ_in_their_parameters_alone_have_files_of_their_own(project: Project) -> None:
    project.tests(
        """
class TestOf:
    @pytest.mark.parametrize("which", ["a.b", "a::b", "a[b", "a/b"])
    def test_it(self, recorded_model, which):
        assert recorded_model("remote").invoke(which)
"""
    )
    assert outcome(project.run("--record-models=once")) == {"passed": 4}
    names = {path.name for path in (project.folder / "recordings" / "test_it").iterdir()}
    assert len(names) == 4
    assert {"TestOf.test_it[a.b].jsonl", "TestOf.test_it[a[b].jsonl"} <= names


@pytest.mark.parametrize("environment", [{}, {"CI": "true"}])
def test_what_is_not_recorded_fails_and_names_the_command(project: Project, environment: dict[str, str]) -> None:
    project.tests(RECORDED)
    project.write("pytest.ini", "[pytest]\nrecord_models = once\n" if environment else "[pytest]\n")
    told = project.run(**environment)
    assert outcome(told) == {"failed": 4}
    assert "pytest test_it.py::test_whole --record-models=once" in told
    assert "pytest 'test_it.py::TestThings::test_stream[b/c]' --record-models=once" in told
    assert project.asked == []
    assert outcome(project.run("--record-models=once", "-k", "whole", **environment)) == {"passed": 1}
    project.tests(RECORDED.replace('"whole"', '"changed"'))
    told = project.run("-k", "whole", **environment)
    assert "pytest test_it.py::test_whole --record-models=new" in told
    assert re.search(r"-\s+content: whole\nE\s+\+\s+content: changed", told)


def test_the_setting_records_outside_of_ci(project: Project) -> None:
    project.tests(RECORDED)
    project.write("pytest.ini", "[pytest]\nrecord_models = once\n")
    assert outcome(project.run(CI="false")) == {"passed": 4}


def test_a_recording_may_lie_elsewhere(project: Project) -> None:
    project.tests(
        """
@pytest.fixture
def recording_path(tmp_path_factory):
    from pathlib import Path
    return Path("tape.yaml").absolute()

def test_one(recorded_model):
    assert recorded_model("remote").invoke("x").content == "recorded"
"""
    )
    assert outcome(project.run("--record-models=once")) == {"passed": 1}
    assert (project.folder / "tape.yaml").read_text().startswith("---\nrequest:\n")
    assert outcome(project.run()) == {"passed": 1}


def test_recording_lifts_the_ban_and_nothing_else_does(project: Project) -> None:
    project.tests(
        """
def test_recorded(recorded_model):
    recorded_model("remote").invoke("recorded")

def test_other():
    create_chat_model("remote", retry=None).invoke("other")

@pytest.mark.allow_models
def test_marked():
    create_chat_model("remote").invoke("marked")

def test_by_fixture(allow_models):
    create_chat_model("remote").invoke("fixture")
"""
    )
    told = project.run("--forbid-models", "--record-models=once")
    assert outcome(told) == {"passed": 3, "failed": 1}
    assert "was attempted while forbidden" in told
    assert project.asked == ["recorded", "marked", "fixture"]
    project.write("pytest.ini", "[pytest]\nforbid_models = true\naddopts = --strict-markers\n")
    assert outcome(project.run()) == {"passed": 3, "failed": 1}


def test_the_ban_holds_for_fixtures_of_the_session_and_of_modules(project: Project) -> None:
    project.tests(
        """
@pytest.fixture(scope="session")
def of_session():
    create_chat_model("remote", retry=None).invoke("session")

@pytest.fixture(scope="module")
def of_module():
    create_chat_model("remote", retry=None).invoke("module")

def test_session(of_session):
    pass

def test_module(of_module):
    pass

@pytest.fixture(scope="module")
def of_marked():
    create_chat_model("remote", retry=None).invoke("marked")

@pytest.mark.allow_models
def test_marked(of_marked):
    pass
"""
    )
    assert outcome(project.run("--forbid-models")) == {"errors": 2, "passed": 1}
    assert project.asked == ["marked"]


AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for _ in range(2):
        if hasattr(item, "_request"):
            item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_a_test_that_is_run_again_begins_with_no_budgets(project: Project) -> None:
    project.write("conftest.py", AGAIN)
    project.tests(
        """
def test_twice(model_budget):
    import os
    budget = model_budget(limit_usd=0.1 if not os.path.exists("asked.txt") else 1.0)
    create_chat_model("remote").invoke("x")
"""
    )
    assert outcome(project.run()) == {"passed": 1}
    assert project.asked == ["x", "x"]


def test_a_cleanup_that_fails_keeps_no_other_model_from_its_own(project: Project) -> None:
    project.tests(
        """
class Failing(Remote):
    async def cleanup(self):
        with open("asked.txt", "a") as file:
            file.write("cleaned\\n")
        raise OSError("no")

def test_it(recorded_model):
    for prompt in ("one", "two"):
        recorded_model(Failing()).invoke(prompt)
"""
    )
    assert outcome(project.run("--record-models=all")) == {"passed": 1, "error": 1}
    assert project.asked == ["one", "two", "cleaned", "cleaned"]


def test_a_single_test_may_forbid(project: Project) -> None:
    project.tests(
        """
def test_forbidden(forbid_models):
    with pytest.raises(ChatModelError, match="forbidden"):
        create_chat_model("remote").invoke("x")

def test_free():
    create_chat_model("remote").invoke("y")
"""
    )
    assert outcome(project.run()) == {"passed": 2}
    assert project.asked == ["y"]


BUDGET = """
def test_within(model_budget):
    budget = model_budget(limit_usd=1.0)
    create_chat_model("remote").invoke("one")
    assert budget.calls == 1

def test_over(model_budget):
    model_budget(limit_usd=0.1)
    model = create_chat_model("remote")
    model.invoke("two")
    try:
        model.invoke("refused")
    except ChatModelError:
        pass

def test_raises(model_budget):
    model_budget(limit_usd=0.0)
    create_chat_model("remote").invoke("refused")

def test_over_with_its_last_call(model_budget):
    model_budget(limit_usd=0.1)
    create_chat_model("remote").invoke("three")

def test_counts(model_budget):
    model_budget()
    create_chat_model("remote").invoke("four")

def test_free():
    create_chat_model("remote").invoke("five")
"""


@pytest.mark.parametrize("arguments", [[], ["-n2"]])
def test_a_test_over_its_budget_fails_and_the_summary_tells_the_spend(project: Project, arguments: list[str]) -> None:
    project.tests(BUDGET)
    told = project.run(*arguments)
    assert outcome(told) == {"passed": 3, "failed": 3}
    assert "over budget: $0.150000 were spent of a budget of $0.100000; 1 calls were refused" in told
    assert sorted(project.asked) == ["five", "four", "one", "three", "two"]
    summary = told[told.index("spent on models") :]
    assert "$0.150000 of $1.000000  1 calls  test_it.py::test_within" in summary
    assert "$0.000000 of $0.000000  0 calls  test_it.py::test_raises" in summary
    assert "$0.150000  1 calls  test_it.py::test_counts" in summary
    assert "$0.600000 in all" in summary
    assert "test_free" not in summary


def test_what_a_fixture_spends_counts_for_the_test_that_it_is_made_for(project: Project) -> None:
    project.tests(
        """
@pytest.fixture(scope="session")
def of_session():
    create_chat_model("remote", retry=None).invoke("session")

def test_first(of_session):
    create_chat_model("remote", retry=None).invoke("first")

def test_second(of_session):
    pass
"""
    )
    told = project.run("--model-budget=1")
    assert outcome(told) == {"passed": 2}
    assert "$0.300000  2 calls  test_it.py::test_first" in told
    assert "test_second" not in told[told.index("spent on models") :]
    assert "$0.300000 in all" in told


def test_a_budget_of_the_whole_run(project: Project) -> None:
    project.tests(BUDGET[BUDGET.index("def test_counts") :])
    told = project.run("--model-budget=0.1")
    assert outcome(told) == {"passed": 1, "failed": 1}
    assert "a call to 'remote' was refused before it was made" in told
    assert project.asked == ["four"]
    assert "$0.150000 in all" in told
    project.write("pytest.ini", "[pytest]\nmodel_budget = 5\n")
    told = project.run()
    assert outcome(told) == {"passed": 2}
    assert "test_free" in told
    assert "spent on models" not in project.run("-k", "nothing")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("record_models = sometimes", "record_models must be one of none, once, new, all, got 'sometimes'"),
        ("model_budget = much", "model_budget must be US dollars, 0 or more, got 'much'"),
        ("model_budget = -1", "got '-1'"),
        ("model_budget = nan", "got 'nan'"),
    ],
)
def test_a_wrong_setting_is_told(project: Project, setting: str, complaint: str) -> None:
    project.write("pytest.ini", f"[pytest]\n{setting}\n")
    told = project.run()
    assert complaint in told
    assert told.endswith("exit 4")


def test_it_can_be_left_out_and_named(project: Project) -> None:
    project.tests("\ndef test_one(recorded_model):\n    pass\n")
    assert "fixture 'recorded_model' not found" in project.run("-p", "no:chatmodels")
    assert outcome(project.run("-p", "chatmodels", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")) == {"passed": 1}
