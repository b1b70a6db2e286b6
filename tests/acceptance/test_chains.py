from __future__ import annotations

import csv
import random

import pytest

from acceptance.outside import (
    ERROR_KEYS,
    OUTPUT_KEYS,
    Project,
    Said,
    assert_keys,
    assert_run_record,
    chain_yaml,
    fmf_yaml,
)
from acceptance.test_images import png
from peers.scripted_server import Reply, Request, ScriptedServer

SUMMARISE = "id: summarise\nversions:\n  - {version: v1, template: 'Sum up: {{ text }}', inputs: {required: [text]}}\n"
PICTURES = {f"data/p{number}.png": png(number) for number in range(2)}
HOSTILE = "Read {{ other }} and ${other} and ${chunk.text} and {text} and %s {0}"


def in_its_own_time(request: Request) -> Reply:
    """An answer that names the question, after a delay that puts the answers out of order."""
    wait = random.Random(request.prompt).uniform(0.0, 0.12)
    return Reply(text=f"answer to <{request.prompt}>", latency_s=wait)


@pytest.fixture(scope="session")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, ScriptedServer]:
    """20 files through a step for each and one over all, by a server that answers out of order."""
    project = Project(tmp_path_factory.mktemp("reduced"))
    project.write({f"data/note-{number:02}.md": f"# Note {number:02}" for number in range(20)})
    steps = [
        {"id": "map", "prompt": "summarise#v1", "inputs": {"text": "${chunk.text}"}, "output": "summary"},
        {"id": "reduce", "prompt": "inline: All: {{ s }}", "inputs": {"s": "${all.summary}"}, "output": "report"},
    ]
    outputs = [
        {"save": "artefacts/${run_id}/report.md", "from": "report"},
        {"save": "out/${chain_id}.jsonl", "from": "summary"},
    ]
    project.write({"chain.yaml": chain_yaml(*steps, outputs=outputs), "prompts/summarise.yaml": SUMMARISE})
    with ScriptedServer(in_its_own_time) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url)})
        project.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
        said = project.fmf("run", "--chain", "chain.yaml", "--json").well()
    return said, server


@pytest.mark.behaviour(33)
def test_a_step_over_all_runs_once(reduced):
    """Behaviour 33: 20 files, a step for each and one over `${all.x}`: exactly 21 calls, the report written once."""
    said, server = reduced
    assert server.count == 21
    assert server.most_in_flight > 1
    last = server.chats[-1].prompt
    answers = [f"answer to <Sum up: # Note {number:02}>" for number in range(20)]
    assert last == "All: " + "\n\n".join(answers)
    [report] = said.run.of("reduce")
    assert (said.run.path / "report.md").read_text() == f"answer to <{last}>\n"
    assert report["output"] == f"answer to <{last}>"
    steps = said.run.record["counts"]["steps"]
    assert (steps["map"]["calls"], steps["reduce"]["calls"]) == (20, 1)


@pytest.mark.behaviour(34)
def test_records_are_in_input_order_and_complete(reduced):
    """Behaviour 34: outputs in input order whatever the completion order, each with where it came from."""
    said, server = reduced
    run = said.run
    assert_keys(run.outputs, OUTPUT_KEYS)
    finished = sorted(server.chats[:20], key=lambda request: request.ended or 0)
    mapped = run.of("map")
    assert [request.prompt for request in finished] != [f"Sum up: {record['input']['text']}" for record in mapped]
    assert [record["output"] for record in mapped] == [f"answer to <Sum up: # Note {n:02}>" for n in range(20)]
    assert [record["chunk_id"] for record in mapped] == [chunk["chunk_id"] for chunk in run.chunks]
    assert [record["source_uri"] for record in mapped] == [chunk["source_uri"] for chunk in run.chunks]
    assert [record["doc_id"] for record in mapped] == [doc["doc_id"] for doc in run.docs]
    [prompt, _] = run.record["prompts_used"]
    for record in mapped:
        assert (record["prompt_id"], record["prompt_version"]) == ("summarise", "v1")
        assert record["prompt_hash"] == prompt["content_hash"]
        assert (record["provider"], record["model"], record["status"]) == ("openai", "scripted-1", "ok")
        assert (record["tokens_prompt"], record["tokens_completion"]) == (11, 7)
        assert record["cost_usd"] is None, "an unknown price is null"
        assert (record["finish_reason"], record["attempts"], record["cached"]) == ("stop", 1, False)
        assert (record["chain_id"], record["run_id"]) == ("chain", said.json["run_id"])
        assert record["latency_ms"] > 0
    assert len({record["record_id"] for record in run.outputs}) == 21


@pytest.mark.behaviour(34)
def test_the_record_of_the_run_is_complete_and_true(reduced):
    """Section 6 of the contract: run.yaml has every key; counts and tokens agree with the records and with --json."""
    said, _ = reduced
    record = said.run.record
    assert_run_record(record)
    assert record["status"] == said.json["status"] == "completed"
    assert record["inputs"] == {"connector": "docs", "select": [], "documents": 20, "bytes": 20 * 9}
    assert record["counts"]["items"] == {"total": 20, "ok": 20, "failed": 0, "skipped": 0}
    assert record["counts"]["chunks"] == len(said.run.chunks) == 20
    assert (record["metrics"]["tokens_prompt"], record["metrics"]["tokens_completion"]) == (21 * 11, 21 * 7)
    assert record["metrics"]["cost_estimate_usd"] is None
    assert record["provider"] == {"name": "openai", "model": "scripted-1"}
    assert record["chain"]["name"] == "chain"
    assert said.run.errors == []


@pytest.mark.behaviour(33)
def test_a_save_outside_of_the_run_is_written_once(reduced):
    """Behaviour 33: `save` writes the whole records of its step, in order, wherever in the project it leads."""
    import json

    said, _ = reduced
    lines = (said.run.path.parent.parent / "out" / "chain.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == said.run.of("map")


# Behaviour 35


@pytest.mark.behaviour(35)
def test_references_inside_longer_strings_and_joins(project, scripted_server):
    """Behaviour 35: references inside strings; `join` with limits on items and characters leaves a visible mark."""
    project.write({f"data/{name}.md": f"text {name}" for name in "abcde"})
    joins = {
        "every": '${join(all.x, ", ")}',
        "few": '<${join(all.x, ", ", max_items=2)}>',
        "short": '<${join(all.x, ", ", max_chars=4)}>',
    }
    steps = [
        {
            "id": "one",
            "prompt": "inline: {{ where }}",
            "inputs": {"where": "prefix ${chunk.source_uri} / ${run_id} at ${chunk.start}-${chunk.end}"},
            "output": "x",
        },
        {"id": "all", "prompt": "inline: {{ every }} {{ few }} {{ short }}", "inputs": joins, "output": "y"},
    ]
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url), "chain.yaml": chain_yaml(*steps)})
    scripted_server.add(*(Reply(text="ok") for _ in range(6)))
    run = project.fmf("run", "--chain", "chain.yaml", "--concurrency", "1").well().run
    expected = [f"prefix {chunk['source_uri']} / {run.path.name} at 0-6" for chunk in run.chunks]
    assert [request.prompt for request in scripted_server.chats[:5]] == expected
    [joined] = run.of("all")
    assert joined["input"]["every"] == "ok, ok, ok, ok, ok"
    assert joined["input"]["few"] == "<ok, ok, … [3 more]>"
    assert joined["input"]["short"].startswith("<ok")
    assert "…" in joined["input"]["short"]
    assert "more" in joined["input"]["short"]
    assert len(joined["input"]["short"]) < len("<ok, ok, ok, ok, ok>") + 10
    assert scripted_server.chats[5].prompt == " ".join(joined["input"].values())


@pytest.mark.behaviour(35)
@pytest.mark.parametrize(
    ("reference", "nearest"),
    [
        ("${chunk.sorce_uri}", "chunk.source_uri"),
        ("a ${steps.sumary} b", "summary"),
        ('${join(all.sumary, ", ")}', "summary"),
        ("${nothing}", "run_id"),
    ],
)
def test_a_path_that_can_never_exist_is_refused_at_load_time(project, reference, nearest):
    """Behaviour 35: a missing path is a configuration error that names it, before anything is read or asked."""
    steps = [
        {"id": "first", "prompt": "inline: ${chunk.text}", "output": "summary"},
        {"id": "second", "prompt": "inline: {{ x }}", "inputs": {"x": reference}},
    ]
    project.write({"fmf.yaml": fmf_yaml(), "data/a.md": "a", "chain.yaml": chain_yaml(*steps)})
    error = project.fmf("run", "--chain", "chain.yaml").refused(2)
    path = reference.partition("{")[2].removeprefix("join(").split("}")[0].split(",")[0]
    assert path in error
    assert nearest in error
    assert "chain.yaml:" in error, "with its place in the file"
    assert not (project.root / "artefacts").exists()


# Behaviour 36


@pytest.mark.behaviour(36)
def test_text_of_documents_and_answers_is_never_a_template(project, scripted_server):
    """Behaviour 36: `{{ other }}` and `${other}` in documents and answers pass through literally, in every prompt."""
    steps = [
        {"id": "one", "prompt": "inline: Q {{ text }} {{ other }}", "inputs": {"text": "${chunk.text}", "other": "O"}},
        {"id": "two", "prompt": "inline: R ${steps.one}"},
        {"id": "three", "prompt": "inline: S {{ every }}", "inputs": {"every": "all: ${all.two}"}, "output": "end"},
    ]
    outputs = [{"save": "artefacts/${run_id}/end.md", "from": "end"}]
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url), "chain.yaml": chain_yaml(*steps, outputs=outputs)})
    project.write({"data/hostile.md": HOSTILE})
    answer = "${run_id} {{ text }} {other}"
    scripted_server.add(*(Reply(text=answer) for _ in range(3)))
    run = project.fmf("run", "--chain", "chain.yaml").well().run
    prompts = [request.prompt for request in scripted_server.chats]
    assert prompts == [f"Q {HOSTILE} O", f"R {answer}", f"S all: {answer}"]
    assert (run.path / "end.md").read_text() == f"{answer}\n"
    assert run.of("one")[0]["input"]["text"] == HOSTILE


# Behaviours 40 and 41


@pytest.fixture(scope="session")
def one_failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, ScriptedServer]:
    """Ten items, of which one fails, through two steps for each."""

    def script(request: Request) -> Reply:
        if "item 4" in request.prompt:
            return Reply(status=400)
        return Reply(text=f"[{request.prompt}]", latency_s=0.01)

    project = Project(tmp_path_factory.mktemp("failing"))
    project.write({f"data/{number}.md": f"item {number}" for number in range(10)})
    steps = [{"id": "one", "prompt": "inline: ${chunk.text}"}, {"id": "two", "prompt": "inline: again ${steps.one}"}]
    project.write({"chain.yaml": chain_yaml(*steps)})
    with ScriptedServer(script) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url)})
        said = project.fmf("run", "--chain", "chain.yaml", "--json")
    return said, server


@pytest.mark.behaviour(40)
def test_one_failing_item_leaves_the_others_alone(one_failing):
    """Behaviour 40: nine outputs and one error record with item, error type, message and attempts; exit 10."""
    said, server = one_failing
    said.refused(10)
    run = said.run
    [error] = run.errors
    assert_keys([error], ERROR_KEYS)
    assert error["source_uri"].endswith("/4.md")
    assert error["chunk_id"] == run.chunks[4]["chunk_id"]
    assert error["doc_id"] == run.docs[4]["doc_id"]
    assert (error["stage"], error["step_id"], error["code"], error["attempts"]) == ("infer", "one", "invalid", 1)
    assert "400" in error["message"]
    assert error["op"]
    good = [record for record in run.of("one") if record["status"] == "ok"]
    assert [record["output"] for record in good] == [f"[item {number}]" for number in range(10) if number != 4]
    assert server.count == 19, "a refused request is not sent again, and its item goes no further"


@pytest.mark.behaviour(40)
def test_later_steps_skip_the_failed_item(one_failing):
    """Behaviour 40: every item has its record in every step: failed where it failed, skipped after that."""
    said, server = one_failing
    outputs = said.run.outputs
    assert_keys(outputs, OUTPUT_KEYS)
    states = {record["step_id"]: record["status"] for record in outputs if record["source_uri"].endswith("/4.md")}
    assert states == {"one": "failed", "two": "skipped"}
    assert not [request for request in server.chats if request.prompt.startswith("again") and "4" in request.prompt]


@pytest.mark.behaviour(40)
def test_the_summary_agrees_with_the_records(one_failing):
    """Behaviour 40: the `--json` summary and run.yaml agree with each other and with the records."""
    said, _ = one_failing
    told, record = said.json, said.run.record
    assert told["status"] == record["status"] == "partial"
    assert told["exit_status"] == said.exit_code
    for section in ("counts", "metrics", "errors", "inputs"):
        assert told[section] == record[section]
    assert told["counts"]["items"] == {"total": 10, "ok": 9, "failed": 1, "skipped": 0}
    steps = told["counts"]["steps"]
    assert (steps["one"]["ok"], steps["one"]["failed"], steps["one"]["calls"]) == (9, 1, 10)
    assert (steps["two"]["ok"], steps["two"]["skipped"], steps["two"]["calls"]) == (9, 1, 9)
    assert told["errors"] == {"count": 1, "by_code": {"invalid": 1}}


@pytest.mark.behaviour(40)
def test_when_every_item_fails_the_status_is_that_of_the_failures(project):
    """When all failed, the exit status is that of the failures' kind, such as 3 for a key that was refused."""
    project.write({"data/a.md": "a", "data/b.md": "b", "chain.yaml": chain_yaml({"id": "one", "prompt": "inline: hi"})})
    with ScriptedServer(default=Reply(status=401)) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url)})
        told = project.fmf("run", "--chain", "chain.yaml")
    told.refused(3)
    assert told.facts["status"] == "failed"
    assert [error["code"] for error in told.run.errors] == ["auth", "auth"]


@pytest.mark.behaviour(41)
def test_no_call_starts_after_the_first_failure(project):
    """Behaviour 41: with `continue_on_error: false` at most the calls in flight and the failed one are made."""

    def script(request: Request) -> Reply:
        return Reply(status=400) if "item 06" in request.prompt else Reply(text="ok", latency_s=0.05)

    project.write({f"data/{number:02}.md": f"item {number:02}" for number in range(40)})
    steps = [{"id": "one", "prompt": "inline: ${chunk.text}"}, {"id": "two", "prompt": "inline: then ${chunk.text}"}]
    project.write({"chain.yaml": chain_yaml(*steps, continue_on_error=False, concurrency=4)})
    with ScriptedServer(script) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url)})
        told = project.fmf("run", "--chain", "chain.yaml")
        told.refused(6)
        [failed] = [request for request in server.chats if request.prompt == "item 06"]
        after = [request for request in server.chats if request.started > (failed.ended or 0) + 0.03]
    assert after == []
    assert server.count <= 6 * 2 + 4, "two steps for each of the six before it, and what was in flight beside it"
    assert told.facts["status"] == "failed"
    assert len([error for error in told.run.errors if error["code"] == "invalid"]) == 1
    outputs = told.run.outputs
    assert len([record for record in outputs if record["output"] == "ok"]) == server.count - 1, "answers are kept"
    assert told.run.record["counts"]["documents"] == 40


# Behaviour 45 and bad input


@pytest.mark.behaviour(44)
def test_a_dry_run_asks_nobody_and_leaves_nothing(project, scripted_server):
    """Behaviour 44: plan, calls, tokens and cost, with no key, no request and no artefact; then exactly these calls."""
    steps = (
        {"id": "one", "prompt": "inline: Sum up. {{ t }}", "inputs": {"t": "${document.text}"}, "output": "one"},
        {"id": "report", "prompt": "inline: All: {{ t }}", "inputs": {"t": '${join(all.one, "; ")}'}},
    )
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url)})
    project.write({f"data/{number}.md": f"text {number}" for number in range(20)})
    project.write({"chain.yaml": chain_yaml(*steps, inputs={"connector": "docs", "mode": "documents"})})
    priced = ("--set", "inference.openai.model=gpt-4o-mini")
    before = sorted(project.root.rglob("*"))
    planned = project.fmf("run", "--chain", "chain.yaml", "--dry-run", "--max-cost", "5", *priced, "--json").well().json
    assert scripted_server.count == 0
    assert sorted(project.root.rglob("*")) == before
    assert [step["to_ask"] for step in planned["steps"]] == [20, 1]
    assert planned["total"]["prompt_tokens"] > 20 * 5
    assert planned["total"]["cost_usd_most"] > planned["total"]["cost_usd_about"] > 0
    assert planned["budget"]["verdict"] == "yes"
    project.fmf("run", "--chain", "chain.yaml").well()
    assert scripted_server.count == 21


@pytest.mark.behaviour(45)
def test_nothing_that_matches_is_no_silent_success(project, scripted_server):
    """Behaviour 45: an empty match ends with 11, says where and for what was looked, asks nothing, leaves nothing."""
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url), "data/a.md": "a"})
    inputs = {"connector": "docs", "select": ["**/*.pdf"]}
    project.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: hi"}, inputs=inputs)})
    for command in (
        ("run", "--chain", "chain.yaml"),
        ("process", "--connector", "docs", "--select", "**/*.pdf"),
        ("connect", "ls", "docs", "--select", "**/*.pdf"),
    ):
        told = project.fmf(*command)
        error = told.refused(11)
        assert "**/*.pdf" in error
        assert "docs" in error
        assert told.stdout == ""
    assert scripted_server.count == 0
    assert not (project.root / "artefacts").exists()


def test_empty_and_binary_files_among_good_ones_in_a_run(project):
    """Bad input: in a run too, an empty file is skipped, a binary one is one record, and the rest is done."""
    files = {"data/good.md": "good", "data/empty.md": "", "data/binary.md": bytes(range(256))}
    project.write({"fmf.yaml": fmf_yaml(), **files})
    project.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: ${chunk.text}"})})
    told = project.fmf("run", "--chain", "chain.yaml", "--json")
    told.refused(10)
    run = told.run
    assert {doc["source_uri"].rpartition("/")[2]: doc["status"] for doc in run.docs} == {
        "good.md": "ok",
        "empty.md": "skipped",
        "binary.md": "failed",
    }
    [error] = run.errors
    assert error["stage"] == "read"
    [output] = run.outputs
    assert output["status"] == "ok"
    assert told.json["counts"]["documents"] == 3


def test_a_json_answer_that_was_cut_is_no_answer(project, scripted_server):
    """JSON that is cut with more max_tokens, too, is one record with code truncated; other items are done, exit 10."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    output = {"name": "facts", "expects": "json", "schema": schema, "parse_retries": 1}
    steps = [{"id": "one", "prompt": "inline: ${chunk.text}", "output": output}]
    project.write({"data/a.md": "a", "data/b.md": "b", "chain.yaml": chain_yaml(*steps)})
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url)})
    # The cut text would be whole JSON: the finish reason decides, not the look of it.
    cut = Reply(text='{"n": 1}', finish_reason="length")
    scripted_server.add(cut, cut, Reply(text='```json\n{"n": 2}\n```'))
    told = project.fmf("run", "--chain", "chain.yaml", "--concurrency", "1")
    told.refused(10)
    [error] = told.run.errors
    assert error["code"] == "truncated"
    assert error["source_uri"].endswith("/a.md")
    assert "max_tokens" in error["message"] + error["hint"]
    failed, good = told.run.outputs
    assert (failed["status"], failed["output"]) == ("failed", None)
    assert (failed["tokens_completion"], good["tokens_completion"]) == (14, 7), "every ask is charged"
    assert (good["status"], good["output"]) == ("ok", {"n": 2})
    first, again, _ = (body["max_tokens"] for body in scripted_server.bodies)
    assert again > first, "with the same limit it would be cut again"


@pytest.mark.behaviour(38)
def test_rows_of_a_table_come_back_beside_what_they_brought(tmp_path):
    """Behaviour 38: 3 rows -> a CSV with the pass-through id and the answer; the user's prompt in every request."""
    project = Project(tmp_path)
    project.write({"data/people.csv": "id,name,note\n7,Ada,likes tea\n8,Bob,left early\n9,Cy,wants a call\n"})
    inputs = {
        "connector": "docs",
        "mode": "table_rows",
        "table": {"text_column": "note", "pass_through": ["id"]},
    }
    ask = {
        "id": "ask",
        "prompt": "inline: Sort this note: {{ text }}",
        "inputs": {"text": "${row.text}"},
        "output": "kind",
    }
    outputs = [{"save": "artefacts/${run_id}/kinds.csv", "from": "kind"}]
    with ScriptedServer(in_its_own_time) as server:
        project.write(
            {"fmf.yaml": fmf_yaml(server.base_url), "c.yaml": chain_yaml(ask, outputs=outputs, inputs=inputs)}
        )
        said = project.fmf("run", "--chain", "c.yaml", "--json").well()
    assert server.count == 3
    assert all(request.prompt.startswith("Sort this note: ") for request in server.chats)
    with (said.run.path / "kinds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    notes = {"7": "likes tea", "8": "left early", "9": "wants a call"}
    assert {row["id"]: row["output"] for row in rows} == {
        key: f"answer to <Sort this note: {note}>" for key, note in notes.items()
    }
    assert [record["row"] for record in said.run.outputs] == [{"id": key} for key in notes]


def better_the_second_time(request: Request) -> Reply:
    """JSON that does not fit the schema; once that was said, JSON that does, in a fence and prose."""
    if any(message["role"] == "assistant" for message in request.body["messages"]):
        return Reply(text='Sorry:\n```json\n{"kind": "praise", "stars": 4}\n```')
    return Reply(text='{"kind": "neither", "stars": "4"}')


@pytest.mark.behaviour(37)
@pytest.mark.parametrize(
    ("inputs", "value"),
    [
        ({"select": "*.md"}, "${chunk.text}"),
        ({"select": "*.md", "mode": "documents"}, "${document.text}"),
        ({"select": "*.csv", "mode": "table_rows"}, "${row.text}"),
        ({"select": "*.png", "mode": "images_group"}, "${join(group.names, ' ')}"),
    ],
    ids=["chunks", "documents", "table_rows", "images_group"],
)
def test_json_is_checked_and_asked_for_again_in_every_mode(tmp_path, inputs, value):
    """Behaviour 37: types and enums are checked, the model is asked again, fences and prose removed; in all modes."""
    project = Project(tmp_path)
    project.write({**PICTURES, "data/a.md": "good", "data/b.md": "bad", "data/t.csv": "what\ngood\nbad\n"})
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["praise", "complaint"]}, "stars": {"type": "integer"}},
        "required": ["kind", "stars"],
    }
    ask = {
        "id": "sort",
        "prompt": "inline: Sort as JSON: {{ text }}",
        "inputs": {"text": value},
        "output": {"name": "sorted", "expects": "json", "schema": schema, "parse_retries": 1},
        "mode": "multimodal" if inputs.get("mode") == "images_group" else "text",
    }
    with ScriptedServer(better_the_second_time) as server:
        chain = chain_yaml(ask, inputs={"connector": "docs", **inputs})
        project.write({"fmf.yaml": fmf_yaml(server.base_url), "c.yaml": chain})
        run = project.fmf("run", "--chain", "c.yaml").well().run
    assert server.count == 4
    assert [record["output"] for record in run.outputs] == [{"kind": "praise", "stars": 4}] * 2
