"""The program from outside: a folder with files, `fmf` in a process of its own, and what it says and leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FMF = Path(sys.executable).with_name("fmf")
NOT_OURS = ("FMF_", "GENAI_", "OPENAI_", "OTEL_", "AWS_", "AZURE_")
TIMEOUT_S = 60

DOC_KEYS = "doc_id source_uri media_type bytes hash title metadata text_chars status"
CHUNK_KEYS = "chunk_id doc_id source_uri index start end tokens text"
OUTPUT_KEYS = (
    "run_id chain_id step_id record_id source_uri doc_id chunk_id row prompt_id prompt_version prompt_hash provider "
    "model input output status finish_reason tokens_prompt tokens_completion cost_usd cached attempts latency_ms "
    "created_at"
)
ERROR_KEYS = "run_id stage step_id source_uri doc_id chunk_id code op message hint attempts"
RUN_KEYS: Mapping[str, str] = {
    "": (
        "schema_version run_id status started_at ended_at profile config_hash chain versions inputs provider "
        "prompts_used counts metrics errors exports artefacts"
    ),
    "chain": "name path hash",
    "versions": "fmf python",
    "inputs": "connector select documents bytes",
    "provider": "name model",
    "prompts_used": "id version content_hash",
    "counts": "documents chunks items steps",
    "counts.items": "total ok failed skipped",
    "counts.steps.*": "calls ok failed skipped retried cached",
    "metrics": "tokens_prompt tokens_completion cost_estimate_usd retries duration_ms",
    "errors": "count by_code",
    "artefacts": "path bytes sha256",
}


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without anything that could steer the program, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    loopback = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return {**kept, **loopback, **more}


@dataclass(frozen=True)
class Said:
    """How one command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.stdout.splitlines()

    @property
    def facts(self) -> dict[str, str]:
        """The `key=value` lines of stdout, in order."""
        return dict(line.split("=", 1) for line in self.lines)

    @property
    def json(self) -> Any:
        """The whole of stdout as one JSON document."""
        return json.loads(self.stdout)

    @property
    def run(self) -> Run:
        """What the run left."""
        return Run(Path(self.json["run_dir"] if self.stdout.startswith("{") else self.facts["run_dir"]))

    def refused(self, exit_code: int) -> str:
        """The whole of stderr, once it is sure that the command ended with `exit_code`, and without a traceback."""
        told = f"exit {self.exit_code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        assert self.exit_code == exit_code, told
        assert "Traceback" not in self.stderr + self.stdout, told
        return self.stderr

    def well(self) -> Said:
        """Itself, once it is sure that the command ended well."""
        self.refused(0)
        return self


@dataclass(frozen=True)
class Run:
    """The folder that a run left."""

    path: Path

    def jsonl(self, name: str) -> list[dict[str, Any]]:
        """The records of one file; each line is one JSON object."""
        raw = (self.path / name).read_text(encoding="utf-8")
        assert not raw or raw.endswith("\n")
        return [json.loads(line) for line in raw.split("\n")[:-1]]

    @property
    def docs(self) -> list[dict[str, Any]]:
        return self.jsonl("docs.jsonl")

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return self.jsonl("chunks.jsonl")

    @property
    def outputs(self) -> list[dict[str, Any]]:
        return self.jsonl("outputs.jsonl")

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self.jsonl("errors.jsonl")

    @property
    def record(self) -> dict[str, Any]:
        """`run.yaml`."""
        return yaml.load((self.path / "run.yaml").read_text(encoding="utf-8"), Loader=yaml.SafeLoader)  # noqa: TID251

    def of(self, step: str) -> list[dict[str, Any]]:
        """The output records of one step."""
        return [record for record in self.outputs if record["step_id"] == step]


@dataclass
class Project:
    """A folder in which the program runs."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, files: Mapping[str, str | bytes]) -> Project:
        """Write files, with their folders."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def command(self, *args: str | Path, module: bool = False) -> list[str]:
        """The command line of `fmf`, or of `python -m fmf`."""
        program = [sys.executable, "-m", "fmf"] if module else [str(FMF)]
        return [*program, *map(str, args)]

    def fmf(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes = b"",
        module: bool = False,
        before: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> Said:
        """Run `fmf` in the folder; `before` is a program that starts it."""
        done = subprocess.run(
            [*before, *self.command(*args, module=module)],
            cwd=self.root,
            env=clean_environment(**self.environment, **(env or {})),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *args: str | Path) -> subprocess.Popen[bytes]:
        """Start `fmf` in the folder, and do not wait for it."""
        return subprocess.Popen(
            self.command(*args),
            cwd=self.root,
            env=clean_environment(**self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def python(self, script: str, *args: str, env: Mapping[str, str] | None = None) -> Any:
        """Run a script; what it prints as the last line of stdout, read as JSON."""
        done = subprocess.run(
            [sys.executable, "-c", script, *args],
            cwd=self.root,
            env=clean_environment(**self.environment, **(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return json.loads(done.stdout.decode().splitlines()[-1])

    @property
    def files(self) -> set[str]:
        """Every file of the folder, by its path inside it."""
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}


def settled(process: subprocess.Popen[bytes]) -> Said:
    """What a started command said, once it has ended."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return Said(process.returncode, out.decode(), err.decode())


def fmf_yaml(base_url: str = "", **sections: Any) -> str:
    """An `fmf.yaml` with the connector `docs` over `data/`, and the model at `base_url` or a mock."""
    inference: dict[str, Any] = {"provider": "mock"}
    if base_url:
        inference = {
            "provider": "openai",
            "openai": {"base_url": base_url, "model": "scripted-1", "temperature": 0.25, "max_tokens": 321},
            "retry": {"max_attempts": 2, "first_wait_s": 0.01},
        }
    given = sections.pop("inference", {})
    whole = {
        "connectors": [{"name": "docs", "type": "local", "root": "data"}],
        "inference": {**inference, **given},
        **sections,
    }
    return yaml.safe_dump(whole, sort_keys=False)


def chain_yaml(*steps: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]] = (), **more: Any) -> str:
    """A chain file called `chain` over the connector `docs`."""
    whole = {"name": "chain", "inputs": {"connector": "docs"}, **more, "steps": list(steps)}
    return yaml.safe_dump({**whole, **({"outputs": list(outputs)} if outputs else {})}, sort_keys=False)


def assert_keys(records: Sequence[Mapping[str, Any]], keys: str) -> None:
    """Every record has all of the keys, which are given as words."""
    assert records
    for record in records:
        assert not set(keys.split()) - set(record), set(keys.split()) - set(record)


def assert_run_record(record: Mapping[str, Any]) -> None:
    """`run.yaml` has every key of the contract, at every level."""
    for path, keys in RUN_KEYS.items():
        found: list[Any] = [record]
        for name in filter(None, path.split(".")):
            found = [inner for outer in found for inner in (outer.values() if name == "*" else [outer[name]])]
        for section in found:
            assert_keys(section if isinstance(section, list) else [section], keys)
