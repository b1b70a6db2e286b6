"""Streams as they may be: real processes, for only those have them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from fmf import errors
from fmf.cli import main, signals
from fmf.cli.descriptors import KEPT, room_for_calls
from peers.scripted_server import Reply, ScriptedServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of POSIX")

CHAIN = (
    "name: c\ninputs: {connector: docs}\nsteps: [{id: a, prompt: 'inline: x {{ t }}', inputs: {t: '${chunk.text}'}}]\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.md").write_text("some text")
    (tmp_path / "c.yaml").write_text(CHAIN)
    (tmp_path / "fmf.yaml").write_text(
        "connectors: [{name: docs, type: local, root: data}]\ninference: {provider: mock}\n"
    )
    return tmp_path


def shell(project: Path, line: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("fmf ", f"{shlex.quote(sys.executable)} -m fmf ", 1)
    return subprocess.run(["sh", "-c", line], cwd=project, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["config show", "process --connector docs", "run --chain c.yaml"])
def test_closed_streams_are_no_reason_to_fail(project: Path, command: str, closed: str) -> None:
    done = shell(project, f"fmf {command} {closed}")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    for file in project.glob("artefacts/*/*.jsonl"):
        assert all(line.startswith("{") for line in file.read_text().splitlines()), file


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no such device")
def test_a_full_stdout_is_one_clear_error_and_a_full_stderr_none(project: Path) -> None:
    ask = "infer --stream --prompt 'inline: hi'"
    run = "run --chain c.yaml"
    for command in ("config show", run, f"{run} --json", "runs ls", ask, "--version", "--help", "run --help"):
        done = shell(project, f"fmf {command} > /dev/full")
        assert done.returncode == 1
        assert "could not be written to standard output: No space left" in done.stderr
        assert "Traceback" not in done.stderr
    done = shell(project, "fmf run --chain c.yaml 2> /dev/full")
    assert (done.returncode, "status=completed" in done.stdout) == (0, True)
    assert shell(project, "fmf prompt 2> /dev/full").returncode == 2


@pytest.mark.parametrize("command", ["--version", "--help", "run --help"])
def test_whoever_reads_the_help_may_leave(project: Path, command: str) -> None:
    done = shell(project, f"(fmf {command}; echo $? >&2) | true")
    assert done.stderr == "141\n"


def wait_for_call(
    project: Path, *args: str, streams: int = subprocess.PIPE
) -> tuple[subprocess.Popen[str], ScriptedServer]:
    server = ScriptedServer(lambda request: Reply(text="late", latency_s=20)).start()
    settings = ["--set", "inference.provider=openai", "--set", f"inference.openai.base_url={server.base_url}"]
    command = [sys.executable, "-m", "fmf", *settings, "--set", "inference.cancel_grace_s=0.1", *args]
    process = subprocess.Popen(command, cwd=project, stdout=streams, stderr=streams, text=True)
    server.wait_for(lambda server: server.count == 1, 20)
    return process, server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "args", [("infer", "--prompt", "inline: {{ text }}", "--input", "data/a.md"), ("run", "--chain", "c.yaml")]
)
def test_signals_end_with_130(project: Path, args: tuple[str, ...], number: int) -> None:
    process, server = wait_for_call(project, *args)
    try:
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        server.stop()
    assert (process.returncode, "Traceback" in err) == (130, False), err


def test_a_second_signal_while_the_end_is_told_changes_nothing(project: Path) -> None:
    process, server = wait_for_call(project, "infer", "--prompt", "inline: hi")
    try:
        for _ in range(40):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, err = process.communicate(timeout=20)
    finally:
        server.stop()
    assert (process.returncode, "Traceback" in err) == (130, False), err


@pytest.mark.parametrize("args", [("infer", "--prompt", "inline: hi"), ("run", "--chain", "c.yaml")])
def test_a_closed_terminal_interrupts(project: Path, args: tuple[str, ...]) -> None:
    import pty

    ours, theirs = pty.openpty()
    process, server = wait_for_call(project, *args, streams=theirs)
    os.close(theirs)
    os.close(ours)
    try:
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=20) == 130
    finally:
        server.stop()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no such device")
def test_an_interrupt_that_cannot_be_told_is_one_all_the_same(project: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process, server = wait_for_call(project, "infer", "--prompt", "inline: hi", streams=full)
    os.close(full)
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 130
    finally:
        server.stop()


def program(body: str) -> subprocess.CompletedProcess[str]:
    head = """
        import os, signal, sys
        from fmf.cli import main

        sys.argv = ["fmf", "--version"]

        def end(): os.kill(os.getpid(), signal.SIGTERM)
        """
    command = [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(body)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_signals_are_heard_from_the_first_import_on() -> None:
    done = program("""
        class Finder:
            def find_spec(self, name, *_):
                if name == "fmf.cli.app":
                    end()

        sys.meta_path.insert(0, Finder())
        sys.exit(main())
        """)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_a_signal_after_all_was_told_ends_the_process_at_once() -> None:
    done = program("main(); end(); print('not reached')")
    assert (done.returncode, "not reached" in done.stdout, done.stderr) == (130, False, "")


def test_a_signal_in_the_last_moments_changes_nothing() -> None:
    done = program("""
        class Last:
            def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGTERM):
                kill(me, number)

        sys.last_words = Last()
        sys.exit(main())
        """)
    assert (done.returncode, done.stderr) == (0, "")


def test_nohup_means_that_a_closed_terminal_changes_nothing(project: Path) -> None:
    done = shell(project, "trap '' HUP; fmf config check & sleep 0.05; kill -HUP $!; wait $!")
    assert done.returncode == 0


def test_there_is_one_status_of_interrupts() -> None:
    assert signals.INTERRUPTED == errors.INTERRUPTED


@pytest.mark.parametrize("args", ["config check -c {}", "run --chain {}"])
def test_what_is_no_file_of_settings_is_told(project: Path, args: str) -> None:
    shell(project, "mkfifo pipe.yaml")
    for path, said in (("pipe.yaml", "no regular file"), ("/dev/zero", "no regular file"), ("data", "folder|director")):
        done = shell(project, f"fmf {args.format(path)}")
        assert done.returncode == 2
        assert any(word in done.stderr for word in said.split("|")), done.stderr
    (project / "big.yaml").write_bytes(b"# x\n" * 3_000_000)
    assert "more than 10 MB" in shell(project, f"fmf {args.format('big.yaml')}").stderr


def test_a_prompt_file_that_is_a_pipe_is_told(project: Path) -> None:
    shell(project, "mkfifo p.yaml")
    done = shell(project, "fmf infer --prompt 'p.yaml#v1'")
    assert (done.returncode, "no regular file" in done.stderr) == (8, True)


def test_reading_documents_raises_the_limit_of_open_files(project: Path) -> None:
    done = shell(project, "ulimit -Sn 7; fmf process --connector docs")
    assert (done.returncode, "failed=0" in done.stdout) == (0, True), done.stderr


def test_few_descriptors_mean_fewer_calls_at_once(project: Path) -> None:
    for number in range(60):
        (project / "data" / f"{number}.md").write_text(f"text {number}")
    with ScriptedServer(lambda request: Reply(text="fine", latency_s=0.05)) as server:
        settings = f"--set inference.provider=openai --set inference.openai.base_url={server.base_url}"
        done = shell(project, f"ulimit -n 48; fmf {settings} run --chain c.yaml --concurrency 100")
    assert done.returncode == 0, done.stderr
    assert "16 calls at once instead of 100" in done.stderr
    assert server.most_in_flight <= 16


def test_room_is_at_least_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits = {"now": (20, 20)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.update(now=wanted))
    assert room_for_calls(8) == 1
    limits["now"] = (64, 4096)
    assert room_for_calls(100) == 100
    assert limits["now"] == (100 + KEPT, 4096)
    limits["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert room_for_calls(10_000) == 10_000


def test_a_program_that_calls_the_command_keeps_its_streams_and_signals(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    stream = sys.stderr
    assert main(["--version"]) == 0
    assert main(["nonsense"]) == 2
    assert sys.stderr is stream
    assert [signal.getsignal(number) for number in numbers] == before
    out, err = capsys.readouterr()
    assert out.startswith("fmf ")
    assert "No such command" in err
