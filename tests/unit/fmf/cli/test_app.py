from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from fmf.cli import later
from fmf.cli.app import COMMANDS
from fmf_core import __version__


def test_help_lists_every_command_and_imports_none_of_them(fmf):
    result = fmf("--help")
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert name in result.stdout
        assert line in result.stdout
    loaded = "import sys, fmf.cli; fmf.cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stderr.split()
    assert not {"pydantic", "yaml", "rich", "chatmodels", "fmf.config.models"} & set(modules)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_asked_for_help(fmf, name):
    result = fmf(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Global options" in result.stdout


def test_the_version_is_shown_everywhere(fmf):
    for args in (["--version"], ["keys", "--version"], ["keys", "test", "--version"]):
        result = fmf(*args)
        assert (result.exit_code, result.stdout) == (0, f"fmf {__version__}\n")


def test_python_m_is_the_same_program_with_the_same_status(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "fmf")  # noqa: PTH118, PTH120
    for args in (["--help"], ["keyz"], ["-c", "nope.yaml", "config", "show"]):
        ran = [
            subprocess.run([*start, *args], capture_output=True, text=True, check=False, cwd=tmp_path)
            for start in ([script], [sys.executable, "-m", "fmf"])
        ]
        assert ran[0].returncode == ran[1].returncode
        assert ran[0].stdout == ran[1].stdout
        assert "Traceback" not in ran[0].stderr + ran[1].stderr


def test_an_unknown_command_names_the_nearest(fmf):
    for args, near in ((["confg"], "config"), (["config", "shw"], "show")):
        result = fmf(*args)
        assert result.exit_code == 2
        assert f"did you mean '{near}'" in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize(
    "args", [["export", "--sink", "x"], ["runs", "merge", "x"], ["run", "--shard", "1/2"], ["run", "--sinks", "x"]]
)
def test_what_a_later_version_has_is_no_misspelling(fmf, args):
    result = fmf(*args)
    assert result.exit_code == 2
    assert "is not in this version yet" in result.stderr
    assert "did you mean" not in result.stderr.lower()


def test_nothing_is_called_later_that_is_here(fmf):
    for path in later.COMMANDS:
        assert fmf(*path.split()[1:], "--help").exit_code == 2
    for path, options in later.OPTIONS.items():
        assert not options & set(fmf(*path.split()[1:], "--help").stdout.replace("=", " ").split())


def test_an_unknown_option_is_a_usage_error(fmf):
    result = fmf("keys", "test", "--nope", "--json")
    assert result.exit_code == 2
    assert "--nope" in result.stderr
    assert json.loads(result.stdout)["error"]["exit_status"] == 2


def test_no_arguments_show_the_help(fmf):
    result = fmf()
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_the_reader_may_leave_early(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(3000):
        (tmp_path / "data" / f"{number}.md").touch()
    (tmp_path / "fmf.yaml").write_text("connectors: [{name: d, type: local, root: data}]\n")
    command = [sys.executable, "-m", "fmf", "connect", "ls", "d"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "fmf", "--set", "inference.provider=mock", "infer", "--prompt", "inline: x"]
    with subprocess.Popen(
        [*command, "--input", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert out == b""
