from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from chatmodels.config import ChatModelConfig
from chatmodels.factory import wrap
from fmf.artefacts.lines import read_lines
from fmf.auth.base import build_secrets
from fmf.chains.prepare import prepare
from fmf.chains.prepared import RunOptions
from fmf.chains.run import ChainRun
from fmf.chains.stop import Stop
from fmf.config.loader import load_config

BARE = ChatModelConfig(provider="script", retry={"max_attempts": 1}, timeout_s=None)
"""Nothing around a model but what every model has."""


class Project:
    """A folder with documents, `fmf.yaml` and a chain, and the runs made in it."""

    def __init__(self, root, texts):
        self.root = root
        self.config = {
            "connectors": [{"name": "docs", "type": "local", "root": "data"}],
            "inference": {"provider": "mock", "cancel_grace_s": 0.2},
        }
        (root / "data").mkdir()
        for name, text in texts.items():
            path = root / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    def loaded(self):
        return load_config(self.write("fmf.yaml", self.config), environ={})

    def prepare(self, chain, model=None, **options):
        loaded = self.loaded()
        secrets = build_secrets(loaded.value.auth, loaded.root)
        prepared = prepare(loaded, secrets, chain, RunOptions(**options))
        if model is None:
            return prepared
        prices = {"prices": loaded.value.inference.prices}
        return replace(prepared, model=wrap(model, BARE.model_copy(update=prices)))

    def start(self, chain, model=None, **options):
        return ChainRun(self.prepare(chain, model, **options), Stop())

    def run(self, chain, model=None, **options):
        return Result(self.start(chain, model, **options).execute())


class Result:
    """A report, and the records that the run left."""

    def __init__(self, report):
        self.report = report
        self.status = report.status
        self.exit_status = report.exit_status
        self.record = report.record
        self.dir = report.run_dir

    def rows(self, name):
        return list(read_lines(self.dir / name))

    @property
    def outputs(self):
        return self.rows("outputs.jsonl")

    @property
    def errors(self):
        return self.rows("errors.jsonl")

    def of(self, step):
        return [row for row in self.outputs if row["step_id"] == step]


@pytest.fixture
def project(tmp_path):
    def make(texts=None):
        return Project(tmp_path, texts if texts is not None else {f"d{n:02}.md": f"text {n}" for n in range(10)})

    return make


def chain(*steps, **more):
    given = steps or ({"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}},)
    return {"name": "c", "inputs": {"connector": "docs"}, "steps": list(given), **more}


@pytest.fixture(name="chain")
def chain_fixture():
    return chain
