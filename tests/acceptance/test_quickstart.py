from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from acceptance.outside import Project
from peers.embedded_server import EmbeddedServer

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
SAME = ("record_id", "step_id", "output", "status", "finish_reason", "tokens_prompt", "tokens_completion", "source_uri")


@pytest.mark.peer
@pytest.mark.model
def test_one_chain_gives_the_same_rows_in_process_and_through_a_server(
    project: Project, embedded_weights: Path, embedded_server: EmbeddedServer
) -> None:
    """The quickstart's chain with the embedded model, and with the same weights behind the engine's own server."""
    shutil.copytree(QUICKSTART, project.root, dirs_exist_ok=True)
    ours = ("--set", f"inference.local.model={embedded_weights}")
    theirs = ("provider=openai", f"openai.base_url={embedded_server.base_url}", "openai.temperature=0")
    switched = [word for setting in theirs for word in ("--set", f"inference.{setting}")]
    named = ("--set", f"inference.openai.model={embedded_weights.stem}")
    inside = project.fmf(*ours, "run", "--limit", "2").well().run.outputs
    key = {"OPENAI_API_KEY": embedded_server.api_key}
    outside = project.fmf(*switched, *named, "run", "--limit", "2", env=key).well().run.outputs
    assert len(inside) == 2 * 3 + 1
    assert [{key: row[key] for key in SAME} for row in outside] == [{key: row[key] for key in SAME} for row in inside]
    assert {row["provider"] for row in outside} == {"openai"}
