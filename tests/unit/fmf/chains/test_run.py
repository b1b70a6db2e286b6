from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from pathlib import Path

import pytest

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.pricing import cost_of
from chatmodels.providers.mock import MockChatModel
from chatmodels.types import ChatResponse, TokenUsage
from fmf.artefacts.history import read_record
from fmf.artefacts.index import read_index
from fmf.artefacts.lines import read_lines
from fmf.chains.stop import Stop, StopReason
from fmf.errors import ConfigError, InferenceError, NothingMatchedError
from fmf_core.errors import Code
from fmf_core.portal import in_thread, run_sync

OUTPUT_KEYS = [
    "run_id",
    "chain_id",
    "step_id",
    "record_id",
    "source_uri",
    "doc_id",
    "chunk_id",
    "row",
    "prompt_id",
    "prompt_version",
    "prompt_hash",
    "provider",
    "model",
    "input",
    "output",
    "status",
    "finish_reason",
    "tokens_prompt",
    "tokens_completion",
    "cost_usd",
    "cached",
    "attempts",
    "latency_ms",
    "created_at",
]
ERROR_KEYS = [
    "run_id",
    "stage",
    "step_id",
    "source_uri",
    "doc_id",
    "chunk_id",
    "code",
    "op",
    "message",
    "hint",
    "attempts",
]
REPORT = {"id": "report", "prompt": "inline: all {{ x }}", "inputs": {"x": "${all.one}"}}
ONE = {"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}}
TWO = {"id": "two", "prompt": "inline: again {{ t }}", "inputs": {"t": "${steps.one}"}}


class Script(ChatModel):
    """Answers with what a function of the prompt says, after a random delay, and counts what is under way."""

    provider_name = "script"

    def __init__(self, answer=str.upper, delay=0.0, hold=None):
        self.answer, self.delay, self.hold = answer, delay, hold
        self.calls, self.under_way, self.most = [], 0, 0
        self.started = threading.Event()
        self.cleaned = 0

    async def complete_async(self, request):
        self.calls.append(request.prompt)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.started.set()
        try:
            if self.hold is not None:
                await in_thread(self.hold.wait, 10)
            await asyncio.sleep(random.random() * self.delay)
            text = self.answer(request.prompt)
        finally:
            self.under_way -= 1
        usage = TokenUsage(prompt_tokens=3, completion_tokens=2, model="m", provider="script")
        return ChatResponse(content=text, model="m", usage=usage, cost_usd=0.5)

    async def cleanup(self):
        self.cleaned += 1


def failing(*words, code=Code.INVALID):
    def answer(prompt):
        if any(word in prompt for word in words):
            raise ChatModelError(f"cannot answer {prompt}", op="script.complete", code=code, hint="ask another")
        return prompt.upper()

    return answer


def test_every_item_is_asked_and_the_aggregate_once(project, chain):
    script = Script(delay=0.01)
    result = project({f"d{n:02}.md": f"text {n}" for n in range(20)}).run(chain(ONE, REPORT), script)
    assert (result.status, result.exit_status) == ("completed", 0)
    assert len(script.calls) == 21
    assert script.most == 8
    assert [row["output"] for row in result.of("one")] == [f"SAY TEXT {n}" for n in range(20)]
    report = result.of("report")
    assert len(report) == 1
    assert report[0]["output"] == "ALL " + "\n\n".join(f"SAY TEXT {n}" for n in range(20))
    assert script.cleaned == 1


def test_records_have_every_field(project, chain):
    result = project({"a.md": "text"}).run(chain(ONE), Script())
    row = result.outputs[0]
    assert list(row) == [*OUTPUT_KEYS, "place"]
    assert row["place"] == {"start": 0, "end": 4}
    assert row["source_uri"].startswith("file:///")
    assert (row["chain_id"], row["step_id"], row["prompt_id"], row["model"], row["provider"]) == (
        *("c", "one", "inline", "m", "script"),
    )
    assert (row["status"], row["finish_reason"], row["attempts"], row["cost_usd"]) == ("ok", "stop", 1, 0.5)
    assert (row["tokens_prompt"], row["tokens_completion"]) == (3, 2)
    assert row["input"] == {"t": "text"}
    assert row["chunk_id"] == result.rows("chunks.jsonl")[0]["chunk_id"]
    assert row["doc_id"] == result.rows("docs.jsonl")[0]["doc_id"]
    assert result.rows("docs.jsonl")[0]["text"] == "text"


def test_record_ids_are_the_same_in_every_run(project, chain):
    work = project()
    first, second = work.run(chain(ONE, REPORT), Script()), work.run(chain(ONE, REPORT), Script(str.lower))
    assert first.dir != second.dir
    assert [row["record_id"] for row in first.outputs] == [row["record_id"] for row in second.outputs]
    assert len({row["record_id"] for row in first.outputs}) == 11


def test_the_record_of_a_run(project, chain):
    work = project({"a.md": "text", "b.md": b"\x00\x01\x02", "c.md": b"", "d.txt": "other"})
    path = work.write("chains/c.yaml", chain(ONE, REPORT, inputs={"connector": "docs", "select": ["*.md"]}))
    result = work.run(path, Script())
    record = read_record(work.root / "artefacts", result.report.run_id)
    assert record == result.record
    assert record["schema_version"] == 1
    assert record["status"] == "partial"
    assert record["chain"] == {
        "name": "c",
        "path": str(path),
        "hash": "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert record["processing_hash"].startswith("sha256:")
    assert record["inputs"] == {"connector": "docs", "select": ["*.md"], "documents": 3, "bytes": 7}
    assert record["provider"] == {"name": "mock", "model": "mock"}
    assert [prompt["id"] for prompt in record["prompts_used"]] == ["inline", "inline"]
    assert record["counts"]["documents"] == 3
    assert record["counts"]["documents_by_status"] == {"ok": 1, "failed": 1, "skipped": 1}
    assert record["counts"]["items"] == {"total": 1, "ok": 1, "failed": 0, "skipped": 0}
    assert record["counts"]["steps"]["one"]["calls"] == 1
    assert record["metrics"]["tokens_prompt"] == 6
    assert record["metrics"]["cost_estimate_usd"] == 1.0
    assert record["errors"] == {"count": 1, "by_code": {"unsupported": 1}}
    assert record["exports"] == []
    assert {entry["path"] for entry in record["artefacts"]} == {
        f"{name}.jsonl" for name in ("docs", "chunks", "outputs", "errors")
    }
    for entry in record["artefacts"]:
        content = (result.dir / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    index = read_index(work.root / "artefacts")
    assert [(entry["run_id"], entry["status"], entry["chain"]) for entry in index] == [
        (result.report.run_id, "partial", "c")
    ]


def test_a_failing_item_leaves_the_others_alone(project, chain):
    result = project().run(chain(ONE, TWO, REPORT), Script(failing("say text 3")))
    assert (result.status, result.exit_status) == ("partial", 10)
    assert [row["status"] for row in result.of("one")] == ["ok"] * 3 + ["failed"] + ["ok"] * 6
    assert [row["status"] for row in result.of("two")] == ["ok"] * 3 + ["skipped"] + ["ok"] * 6
    assert result.of("one")[3]["output"] is None
    assert len(result.errors) == 1
    error = result.errors[0]
    assert set(ERROR_KEYS) <= set(error)
    assert (error["stage"], error["step_id"], error["code"], error["attempts"]) == ("infer", "one", "invalid", 1)
    assert error["message"] == "cannot answer say text 3"
    assert error["hint"] == "ask another"
    assert error["source_uri"].endswith("d03.md")
    assert "TEXT 3" not in result.of("report")[0]["output"]
    assert "TEXT 4" in result.of("report")[0]["output"]
    assert result.report.tally.missing == 1
    counts = result.record["counts"]
    assert counts["items"] == {"total": 10, "ok": 9, "failed": 1, "skipped": 0}
    assert counts["steps"]["two"] == {"calls": 9, "ok": 9, "failed": 0, "skipped": 1, "retried": 0, "cached": 0}


@pytest.mark.parametrize(("code", "status"), [(Code.INVALID, 6), (Code.AUTH, 3), (Code.BUDGET, 9)])
def test_when_all_fail_the_kind_decides(project, chain, code, status):
    result = project().run(chain(ONE, REPORT), Script(failing("say", code=code)))
    assert (result.status, result.exit_status) == ("failed", status)
    assert [row["status"] for row in result.of("report")] == ["skipped"]
    assert result.record["counts"]["items"]["failed"] == 10
    assert result.record["counts"]["steps"]["report"]["calls"] == 0


def test_no_new_call_after_the_first_failure(project, chain):
    script = Script(failing("say text 0"), delay=0.005)
    steps = chain(ONE, TWO, REPORT, continue_on_error=False, concurrency=3)
    result = project({f"d{n:03}.md": f"text {n}" for n in range(200)}).run(steps, script)
    assert (result.status, result.exit_status) == ("failed", 6)
    assert len(script.calls) <= 3 + 40
    begun_after = [prompt for prompt in script.calls[script.calls.index("say text 0") + 1 :] if "again" in prompt]
    assert len(begun_after) <= 3
    assert result.of("report") == []
    items = result.record["counts"]["items"]
    assert items["failed"] == 1
    assert items["total"] == items["ok"] + items["failed"] + items["skipped"]


def test_calls_in_flight_are_the_only_ones_after_a_failure(project, chain):
    hold = threading.Event()

    class First(Script):
        async def complete_async(self, request):
            if len(self.calls) >= 4:
                hold.set()
            return await super().complete_async(request)

    def answer(prompt):
        raise ChatModelError("no", op="x", code=Code.INVALID)

    script = First(answer)
    result = project().run(chain(ONE, continue_on_error=False, concurrency=4), script)
    assert len(script.calls) <= 4
    assert result.exit_status == 6


def test_a_bad_document_stops_before_any_call_when_failures_end_the_run(project, chain):
    script = Script()
    texts = {"a.md": "text", "z.md": b"\x00\x01"}
    result = project(texts).run(chain(ONE, continue_on_error=False), script)
    assert (result.status, result.exit_status) == ("failed", 5)
    assert script.calls == []
    assert [row["status"] for row in result.rows("docs.jsonl")] == ["ok", "failed"]
    assert result.errors[0]["stage"] == "read"


def test_good_documents_run_as_usual_when_failures_end_the_run(project, chain):
    result = project().run(chain(ONE, REPORT, continue_on_error=False), Script())
    assert result.status == "completed"
    assert len(result.of("one")) == 10


def test_only_bad_documents(project, chain):
    result = project({"a.md": b"\x00\x01"}).run(chain(ONE, REPORT), Script())
    assert (result.status, result.exit_status) == ("failed", 5)
    assert [row["status"] for row in result.outputs] == ["skipped"]


def test_nothing_matched_leaves_nothing_behind(project, chain):
    work = project()
    script = Script()
    given = chain(ONE, inputs={"connector": "docs", "select": ["*.none"]})
    with pytest.raises(NothingMatchedError, match=r"docs.*data.*\*\.none"):
        work.run(given, script)
    assert script.calls == []
    assert not (work.root / "artefacts").exists()


def test_a_model_that_cannot_be_made_ready_leaves_nothing_behind(project, chain):
    class Missing(Script):
        async def initialize(self):
            raise InferenceError("no weights", op="local.load", code=Code.NOT_FOUND)

    work = project()
    with pytest.raises(InferenceError, match="no weights"):
        work.run(chain(ONE), Missing())
    assert not (work.root / "artefacts").exists()


def test_artefacts_that_cannot_be(project, chain):
    work = project()
    (work.root / "file").touch()
    work.config["artefacts_dir"] = "file/x"
    with pytest.raises(ConfigError, match="artefacts_dir"):
        work.run(chain(ONE), Script())


@pytest.mark.parametrize("limit", [1, 3, 25])
def test_the_limit_counts_items_in_input_order(project, chain, limit):
    script = Script(delay=0.002)
    result = project().run(chain(ONE, REPORT), script, limit=limit)
    expected = min(limit, 10)
    assert len(script.calls) == expected + 1
    assert [row["output"] for row in result.of("one")] == [f"SAY TEXT {n}" for n in range(expected)]
    assert result.record["counts"]["items"]["total"] == expected


def test_concurrency_is_the_callers_before_the_chains(project, chain):
    work, script = project(), Script(delay=0.01)
    work.run(chain(ONE, concurrency=2), script)
    assert script.most == 2
    script = Script(delay=0.01)
    work.run(chain(ONE, concurrency=2), script, concurrency=5)
    assert script.most == 5


PER_DOCUMENT = {"id": "doc", "prompt": "inline: doc {{ x }}", "inputs": {"x": "${join(document.all.one, '|')}"}}


def test_steps_per_document_stand_behind_their_items(project, chain):
    texts = {f"d{n}.csv": "h\n" + "".join(f"row{n}-{m}\n" for m in range(300)) for n in range(4)}
    work = project(texts)
    work.config["processing"] = {"text": {"chunking": {"max_tokens": 200, "overlap": 0}}}
    step = {**ONE, "prompt": "inline: {{ t }}", "inputs": {"t": "${chunk.index}"}}
    over_all = {**REPORT, "inputs": {"x": "${all.doc}"}}
    result = work.run(chain(step, PER_DOCUMENT, over_all), Script(delay=0.01))
    assert result.status == "completed"
    documents = result.rows("docs.jsonl")
    assert all(document["chunks"] > 3 for document in documents)
    expected = []
    for document in documents:
        expected += [("one", document["doc_id"])] * document["chunks"] + [("doc", document["doc_id"])]
    assert [(row["step_id"], row["doc_id"]) for row in result.outputs[:-1]] == expected
    answers = [row["output"] for row in result.of("doc")]
    assert answers == ["DOC " + "|".join(str(n) for n in range(document["chunks"])) for document in documents]
    assert result.of("report")[0]["output"] == "ALL " + "\n\n".join(answers)
    assert len({row["record_id"] for row in result.of("doc")}) == 4


def test_a_document_without_any_answer_is_skipped(project, chain):
    result = project({"a.md": "good", "b.md": "bad"}).run(chain(ONE, PER_DOCUMENT), Script(failing("bad")))
    assert [row["status"] for row in result.of("doc")] == ["ok", "skipped"]
    assert result.record["counts"]["steps"]["doc"]["calls"] == 1


def test_whole_documents(project, chain):
    step = {"id": "one", "prompt": "inline: {{ t }}", "inputs": {"t": "${document.title}: ${document.text}"}}
    given = chain(step, inputs={"connector": "docs", "mode": "documents"})
    result = project({"a.md": "# A\n\nfirst", "b.txt": "second"}).run(given, Script())
    assert [row["output"] for row in result.outputs] == ["A: # A\n\nFIRST", "B.TXT: SECOND"]
    assert result.rows("chunks.jsonl") == []
    assert all(row["chunk_id"] is None for row in result.outputs)
    assert result.record["counts"]["items"]["total"] == 2


def test_text_of_documents_is_data(project, chain):
    text = "literally {{ t }} ${run_id} {t} ${chunk.text}"
    script = Script(str)
    result = project({"a.md": text}).run(chain(ONE, {**TWO, "inputs": {"t": "<${steps.one}>"}}), script)
    assert script.calls == [f"say {text}", f"again <say {text}>"]
    assert result.outputs[0]["input"] == {"t": text}


def test_json_answers_are_values(project, chain):
    schema = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
    steps = (
        {**ONE, "output": {"name": "facts", "schema": schema, "parse_retries": 1}},
        {"id": "two", "prompt": "inline: {{ m }}", "inputs": {"m": "${steps.facts.mood}"}},
    )
    answers = iter(["nothing", '```json\n{"mood": "good"}\n```', "fine", '{"mood": "odd"}', '{"mood": "other"}'])
    result = project({"a.md": "x", "b.md": "y"}).run(
        chain(*steps, concurrency=1), MockChatModel(lambda request: next(answers))
    )
    assert [row["output"] for row in result.outputs] == [{"mood": "good"}, "fine", None, None]
    assert [row["attempts"] for row in result.outputs] == [2, 1, 2, 0]
    assert result.outputs[0]["tokens_prompt"] > result.outputs[1]["tokens_prompt"]
    assert result.errors[0]["code"] == "bad_reply"
    assert result.record["metrics"]["retries"] == 2
    assert result.record["counts"]["steps"]["one"]["retried"] == 2


def test_json_that_was_cut_is_asked_for_again_with_more_room_and_all_of_it_is_paid(project, chain):
    usage = TokenUsage(prompt_tokens=1000, completion_tokens=100, model="gpt-4o-mini", provider="openai")
    whole = ChatResponse(content='{"mood": "good"}', model="gpt-4o-mini", usage=usage)
    cut = whole.model_copy(update={"finish_reason": "length"})
    model = MockChatModel([cut, whole, cut])
    step = {**ONE, "params": {"max_tokens": 100}, "output": {"name": "facts", "schema": {"type": "object"}}}
    result = project({"a.md": "x", "b.md": "y"}).run(chain(step, concurrency=1), model)
    assert [request.max_tokens for request in model.call_log] == [100, 200, 100, 200]
    first, second = result.outputs
    assert (first["output"], first["finish_reason"], first["attempts"]) == ({"mood": "good"}, "stop", 2)
    assert (first["tokens_prompt"], first["tokens_completion"]) == (2000, 200)
    assert first["cost_usd"] == pytest.approx(2 * cost_of(usage))
    assert (second["output"], second["tokens_completion"]) == (None, 200)
    assert result.errors[0]["code"] == "truncated"
    assert "max_tokens" in result.errors[0]["hint"]
    assert result.record["metrics"]["tokens_completion"] == 400
    assert result.record["metrics"]["cost_estimate_usd"] == pytest.approx(4 * cost_of(usage))


def test_two_asks_of_one_step_are_priced_each_for_itself(project, chain):
    # Each is within the longest prompt that has a list price, both together are not.
    usage = TokenUsage(prompt_tokens=150_000, completion_tokens=100, model="claude-sonnet-4-5", provider="openai")
    whole = ChatResponse(content='{"mood": "good"}', model="claude-sonnet-4-5", usage=usage)
    model = MockChatModel([whole.model_copy(update={"finish_reason": "length"}), whole])
    step = {**ONE, "params": {"max_tokens": 100}, "output": {"name": "facts", "schema": {"type": "object"}}}
    result = project({"a.md": "x"}).run(chain(step, concurrency=1), model)
    assert result.outputs[0]["tokens_prompt"] == 300_000
    assert result.outputs[0]["cost_usd"] == pytest.approx(2 * cost_of(usage))


def test_an_unknown_price_makes_the_cost_unknown(project, chain):
    result = project().run(chain(ONE), MockChatModel(model="nobody-knows-1"))
    assert result.record["metrics"]["cost_estimate_usd"] is None
    assert result.outputs[0]["cost_usd"] is None


def test_what_the_chain_saves(project, chain):
    outputs = [
        {"save": "artefacts/${run_id}/report.md", "from": "report"},
        {"save": "out/${chain_id}.jsonl", "from": "one"},
    ]
    work = project()
    result = work.run(chain(ONE, REPORT, outputs=outputs), Script())
    report = result.dir / "report.md"
    assert report.read_text() == result.of("report")[0]["output"] + "\n"
    assert result.report.saved == (report, work.root / "out" / "c.jsonl")
    paths = [entry["path"] for entry in result.record["artefacts"]]
    assert paths[-2:] == ["report.md", str(work.root / "out" / "c.jsonl")]


def test_a_file_that_cannot_be_saved_ends_the_run(project, chain):
    work = project()
    (work.root / "out").touch()
    result = work.run(chain(ONE, outputs=[{"save": "out/x.txt", "from": "one"}]), Script())
    assert (result.status, result.exit_status) == ("failed", 1)
    assert "out" in result.report.error.message
    assert result.errors[0]["stage"] == "save"
    assert read_record(work.root / "artefacts", result.report.run_id)["status"] == "failed"


def test_a_full_disk_ends_the_run(project, chain):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    work = project({f"d{n:03}.md": f"text {n}" for n in range(300)})
    run = work.start(chain(ONE), Script(delay=0.002))

    class Full(Script):
        async def initialize(self):
            pass

    import fmf.chains.run as module

    create_run = module.create_run

    def full(root):
        folder = create_run(root)
        (folder.path / "outputs.jsonl").symlink_to("/dev/full")
        return folder

    module.create_run = full
    try:
        report = run.execute()
    finally:
        module.create_run = create_run
    assert (report.status, report.exit_status) == ("failed", 1)
    assert "No space left" in report.error.message
    assert read_record(work.root / "artefacts", report.run_id)["status"] == "failed"
    assert len(run.prepared.model.calls) < 300


def test_a_listing_that_breaks_off_ends_the_run(project, chain):
    from fmf.errors import ConnectorError

    work = project({f"d{n:03}.md": f"text {n}" for n in range(50)})
    run = work.start(chain(ONE), Script())
    listing = run.prepared.connector.list

    def broken(select=()):
        for number, ref in enumerate(listing(select)):
            if number == 40:
                raise ConnectorError("gone", op="local.list", code=Code.UNAVAILABLE)
            yield ref

    run.prepared.connector.list = broken
    report = run.execute()
    assert (report.status, report.exit_status) == ("failed", 4)
    assert report.record["errors"] == {"count": 1, "by_code": {"unavailable": 1}}


def test_calls_in_flight_may_finish_after_a_stop(project, chain):
    hold = threading.Event()
    script = Script(hold=hold)
    run = project().start(chain(ONE, REPORT, concurrency=4), script)
    run.prepared.loaded.value.inference.__dict__["cancel_grace_s"] = 5.0

    def stop():
        script.started.wait(10)
        run.stop.request(StopReason.INTERRUPTED)
        hold.set()

    thread = threading.Thread(target=stop)
    thread.start()
    report = run.execute()
    thread.join()
    assert (report.status, report.exit_status) == ("interrupted", 130)
    items = report.record["counts"]["items"]
    assert items["ok"] == len(script.calls) <= 4
    assert items["skipped"] == items["total"] - items["ok"]
    assert read_index(report.run_dir.parent)[0]["status"] == "interrupted"


def test_calls_that_do_not_finish_within_the_grace_are_cut_off(project, chain):
    hold = threading.Event()
    script = Script(hold=hold)
    run = project().start(chain(ONE, concurrency=2), script)

    def stop():
        script.started.wait(10)
        run.stop.request(StopReason.INTERRUPTED)

    thread = threading.Thread(target=stop)
    thread.start()
    report = run.execute()
    thread.join()
    hold.set()
    assert (report.status, report.exit_status) == ("interrupted", 130)
    assert report.record["errors"]["by_code"] == {"cancelled": len(script.calls)}
    assert report.record["counts"]["items"]["failed"] == len(script.calls)


def test_a_stop_while_the_aggregate_is_asked(project, chain):
    hold = threading.Event()

    class Slow(Script):
        async def complete_async(self, request):
            if request.prompt.startswith("all"):
                self.hold = hold
                self.started.clear()
            return await super().complete_async(request)

    script = Slow()
    run = project().start(chain(ONE, REPORT), script)

    def stop():
        while script.hold is None:
            threading.Event().wait(0.005)
        run.stop.request(StopReason.INTERRUPTED)

    thread = threading.Thread(target=stop)
    thread.start()
    report = run.execute()
    thread.join()
    hold.set()
    assert report.status == "interrupted"
    assert report.record["counts"]["items"]["ok"] == 10
    assert report.record["counts"]["steps"]["report"]["failed"] == 1


def test_two_runs_at_once(project, chain):
    work = project()
    runs = [work.start(chain(ONE), Script(delay=0.005)) for _ in range(3)]
    reports = []
    threads = [threading.Thread(target=lambda run=run: reports.append(run.execute())) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({report.run_dir for report in reports}) == 3
    assert [report.status for report in reports] == ["completed"] * 3
    assert len(read_index(work.root / "artefacts")) == 3


def test_a_model_that_raises_anything_fails_its_item_alone(project, chain):
    def answer(prompt):
        if "3" in prompt:
            raise RuntimeError("surprise")
        return prompt

    result = project().run(chain(ONE), Script(answer))
    assert result.record["counts"]["items"]["failed"] == 1
    assert "surprise" in result.errors[0]["message"]


def test_conditional_steps_are_skipped_without_failing_the_item(project, chain):
    result = project().run(chain(ONE, {**TWO, "when": "steps.one == 'SAY TEXT 3'"}), Script())
    assert result.status == "completed"
    assert [row["status"] for row in result.of("two")].count("ok") == 1
    assert result.record["counts"]["items"]["ok"] == 10


def test_a_fault_of_the_program_is_recorded_and_reported(project, chain, monkeypatch):
    bug = RuntimeError("odd")

    def broken(save, outputs):
        raise bug

    monkeypatch.setattr("fmf.chains.execution.write_save", broken)
    work = project()
    result = work.run(chain(ONE, outputs=[{"save": "out/x.txt", "from": "one"}]), Script())
    assert (result.status, result.exit_status) == ("failed", 1)
    assert result.report.error.code is Code.INTERNAL
    assert result.report.error.__cause__ is bug
    assert [(row["stage"], row["code"]) for row in result.errors] == [("save", "internal")]
    assert result.record["errors"] == {"count": 1, "by_code": {"internal": 1}}
    assert read_index(work.root / "artefacts")[0]["status"] == "failed"


@pytest.mark.parametrize(("asked", "status"), [(None, "cancelled"), (StopReason.INTERRUPTED, "interrupted")])
def test_a_cancelled_run_leaves_a_finished_folder(project, chain, asked, status):
    script = Script(hold=threading.Event())
    work = project()
    run = work.start(chain(ONE), script)
    run.prepared.loaded.value.inference.__dict__["cancel_grace_s"] = 60.0

    async def go():
        task = asyncio.create_task(run.execute_async())
        while not script.started.is_set():
            await asyncio.sleep(0.005)
        if asked:
            run.stop.request(asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_sync(go())
    (entry,) = read_index(work.root / "artefacts")
    assert entry["status"] == read_record(work.root / "artefacts", entry["run_id"])["status"] == status


def test_a_paid_answer_is_kept_when_the_next_step_is_cut_off(project, chain):
    class Second(Script):
        async def complete_async(self, request):
            if request.prompt.startswith("again"):
                self.asked_twice.set()
                await asyncio.sleep(60)
            return await super().complete_async(request)

    script = Second()
    script.asked_twice = threading.Event()
    work = project({"d.md": "text"})
    run = work.start(chain(ONE, TWO), script)

    def stop():
        script.asked_twice.wait(10)
        run.stop.request(StopReason.INTERRUPTED)

    thread = threading.Thread(target=stop)
    thread.start()
    report = run.execute()
    thread.join()
    assert (report.status, report.exit_status) == ("interrupted", 130)
    one, two = read_lines(report.run_dir / "outputs.jsonl")
    assert (one["step_id"], one["status"], one["output"]) == ("one", "ok", "SAY TEXT")
    assert (one["tokens_prompt"], one["tokens_completion"], one["cost_usd"]) == (3, 2, 0.5)
    assert (two["step_id"], two["status"], two["output"]) == ("two", "failed", None)
    (error,) = read_lines(report.run_dir / "errors.jsonl")
    assert (error["step_id"], error["code"], error["op"]) == ("two", "cancelled", "run.stop")
    assert "cancel_grace_s" in error["hint"]
    steps = report.record["counts"]["steps"]
    assert (steps["one"]["ok"], steps["two"]["failed"]) == (1, 1)


def test_what_hangs_outside_of_any_call_is_cut_off_as_a_whole():
    from fmf.chains.grace import CutOffError, Grace

    async def go():
        stop = Stop()
        grace = Grace(stop, 0.01)
        grace.watch()
        stop.request(StopReason.INTERRUPTED)
        with pytest.raises(CutOffError):
            await grace.allow(asyncio.sleep(60))
        assert asyncio.current_task().cancelling() == 0

    run_sync(go())
