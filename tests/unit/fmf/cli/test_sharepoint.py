"""The commands over a SharePoint library, whose Graph and sign-in are peers on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from peers.certificates import Certificates
from peers.entra_server import CLIENT, SECRET, TENANT, EntraServer
from peers.graph_server import SITE_URL, GraphServer


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def graph(tmp_path, certificates, monkeypatch):
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    with EntraServer(certificates.context("good")) as entra, GraphServer() as server:
        server.valid = lambda token: token in entra.tokens
        connector = {
            "name": "hr",
            "type": "sharepoint",
            "site_url": SITE_URL,
            "root_path": "Policies/",
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "graph_url": server.url,
            "authority": entra.url,
            "ca_bundle": str(certificates.authority),
            "retry": {"max_attempts": 3, "first_wait_s": 0.001},
        }
        (tmp_path / "fmf.yaml").write_text(
            yaml.safe_dump({"connectors": [connector], "inference": {"provider": "mock"}})
        )
        (tmp_path / ".env").write_text(f"AZURE_CLIENT_SECRET={SECRET}\n")
        server.put("Policies/a.md", b"# A\n\ntext of a")
        server.put("Policies/sub/b.txt", b"text of b")
        server.put("Policies/empty.md", b"")
        server.folder("Policies/Notes", package={"type": "oneNote"})
        yield server
        assert server.with_token == []


def test_a_library_is_listed(graph, fmf):
    result = fmf("connect", "ls", "hr", "--select", "**/*.{md,txt}")
    assert result.exit_code == 0, result.stderr
    root = f"{SITE_URL}/Shared%20Documents/Policies"
    assert result.stdout == f"a.md\t{root}/a.md\nempty.md\t{root}/empty.md\nsub/b.txt\t{root}/sub/b.txt\n"
    assert "left out" not in result.stderr
    assert "1 left out: OneNote notebooks" in fmf("connect", "ls", "hr").stderr


def test_its_files_are_processed_and_one_that_is_refused_fails_alone(graph, fmf):
    graph.put("Policies/closed.md", b"x")
    graph.denied["Policies/closed.md"] = (403, "accessDenied")
    graph.broken = [5]
    result = fmf("process", "--connector", "hr")
    assert result.exit_code == 10, result.stderr
    folder = Path(dict(line.split("=", 1) for line in result.stdout.splitlines())["run_dir"])
    chunks = [json.loads(line) for line in (folder / "chunks.jsonl").read_text().splitlines()]
    assert [chunk["text"].strip() for chunk in chunks] == ["# A\n\ntext of a", "text of b"]
    errors = [json.loads(line) for line in (folder / "errors.jsonl").read_text().splitlines()]
    assert "refused" in {error["code"] for error in errors if error["source_uri"].endswith("closed.md")}
    written = "".join(path.read_text() for path in folder.iterdir())
    assert SECRET not in written + result.stderr
    assert "entra-token" not in written + result.stderr


def test_the_doctor_reaches_it(graph, fmf):
    found = {check["name"]: check for check in json.loads(fmf("doctor", "--json").stdout)["checks"]}
    assert found["connector hr"]["state"] == "ok", found["connector hr"]
    assert found["extra sharepoint"]["state"] == "ok"


@pytest.mark.parametrize(
    ("setting", "status", "told"),
    [
        ("drive=Document", 4, "did you mean 'Documents'"),
        ("site_url=https://contoso.sharepoint.com/sites/none", 4, "site_url"),
        ("client_id=33333333-3333-3333-3333-333333333333", 3, "AADSTS7000215"),
        ("certificate_path=none.pem", 2, "certificate_path"),
        ("graph_url=http://graph.example", 2, "graph_url"),
    ],
)
def test_what_is_wrong_is_told_with_a_status_of_its_own(graph, fmf, setting, status, told):
    result = fmf("connect", "ls", "hr", "--set", f"connectors.0.{setting}")
    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr


def told(result):
    return dict(line.split("=", 1) for line in result.stdout.splitlines())


def test_only_what_has_changed_is_fetched_again_and_what_vanished_is_told(graph, fmf):
    first = told(fmf("process", "--connector", "hr"))
    graph.put("Policies/sub/b.txt", b"changed")
    graph.put("Policies/new.md", b"# New")
    graph.delete("Policies/a.md")
    graph.downloads.clear()
    asked = graph.count("delta")
    second = told(fmf("process", "--connector", "hr", "--changed-since", first["run_id"]))
    assert [second[key] for key in ("docs", "vanished")] == ["2", "1"]
    assert graph.count("delta") == asked + 1
    assert len({asked.path for asked in graph.downloads}) == 3  # with the empty one, which failed before
    docs = [json.loads(line) for line in (Path(second["run_dir"]) / "docs.jsonl").read_text().splitlines()]
    assert {doc["source_uri"].rpartition("/")[2] for doc in docs} == {"b.txt", "new.md", "empty.md"}
