"""Chains over pictures: which calls, which records, and what is refused before any call."""

from __future__ import annotations

import gc

import pytest

from chatmodels.errors import ChatModelError
from chatmodels.iface import ChatModel
from chatmodels.providers.mock import MockChatModel
from chatmodels.types import ChatResponse, ImagePart, TextPart, TokenUsage
from fmf.artefacts.folder import create_run
from fmf.artefacts.lines import read_lines
from fmf.chains import execution
from fmf.chains.groups import GroupIntake, GroupWishes, PictureGroup
from fmf.chains.intake import DocumentRead, ItemRead
from fmf.chains.items import record_id
from fmf.chains.stop import Stop, StopReason
from fmf.config.models import ProcessingConfig
from fmf.errors import ConfigError, FrameworkError, exit_status
from fmf.processing.pictures import Picture, PictureReader
from unit.fmf.pictures import jpeg, png
from unit.fmf.processing.memory import MemoryConnector

FIVE = {f"p{number}.png": png(number) for number in range(5)}
LOOK = {"id": "look", "prompt": "inline: What is on it?", "mode": "multimodal"}
REPORT = {"id": "report", "prompt": "inline: all {{ x }}", "inputs": {"x": "${all.look}"}}


def images(chain, *steps, size=2, select=(), **more):
    inputs = {"connector": "docs", "mode": "images_group", "images": {"group_size": size}, "select": list(select)}
    return {**chain(*(steps or (LOOK,)), **more), "inputs": inputs}


def shown(model):
    """The pictures of each request, by their bytes."""
    return [[part.data for part in request.messages[-1].content[1:]] for request in model.call_log]


# Calls


@pytest.mark.parametrize(("size", "counts"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (16, [5])])
def test_groups_are_full_but_for_the_last_and_keep_the_order(project, chain, size, counts):
    model = MockChatModel()
    result = project(FIVE).run(images(chain, size=size, concurrency=1), model)
    assert (result.status, result.exit_status) == ("completed", 0)
    assert [len(pictures) for pictures in shown(model)] == counts
    assert [data for pictures in shown(model) for data in pictures] == list(FIVE.values())


def test_the_pictures_stand_behind_the_text_with_their_kind(project, chain):
    model = MockChatModel()
    work = project({"a.jpg": jpeg(), "b.png": png()})
    work.run(images(chain, {**LOOK, "system_prompt": "Be brief.", "params": {"temperature": 0.5}}), model)
    [request] = model.call_log
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.messages[1].content == (
        TextPart(text="What is on it?"),
        ImagePart(data=jpeg(), media_type="image/jpeg"),
        ImagePart(data=png(), media_type="image/png"),
    )
    assert request.temperature == 0.5


def test_without_a_size_every_picture_is_an_item(project, chain):
    model = MockChatModel()
    inputs = {"connector": "docs", "mode": "images_group"}
    project(FIVE).run({**chain(LOOK), "inputs": inputs}, model)
    assert [len(pictures) for pictures in shown(model)] == [1] * 5


def test_other_steps_see_text_only(project, chain):
    model = MockChatModel({"What is on it?": "a cat", "default": "text"})
    again = {"id": "again", "prompt": "inline: again {{ t }}", "inputs": {"t": "${steps.look}"}}
    result = project(FIVE).run(images(chain, LOOK, again, REPORT, concurrency=1), model)
    assert result.status == "completed"
    plain = [request.messages[-1].content for request in model.call_log if "What" not in request.prompt]
    assert plain == ["again a cat"] * 3 + ["all a cat\n\na cat\n\na cat"]


def test_references_to_the_group(project, chain):
    model = MockChatModel()
    text = "${group.index}/${group.size} ${join(group.names, ',')} ${group.ids} ${group.source_uris} ${run_id}"
    step = {**LOOK, "prompt": "inline: {{ t }}", "inputs": {"t": text, "names": "${group.names}"}}
    work = project(FIVE)
    result = work.run(images(chain, step, concurrency=1), model)
    docs = result.rows("docs.jsonl")
    prompt = model.call_log[2].prompt
    assert prompt.startswith("2/1 p4.png ")
    assert docs[4]["doc_id"] in prompt
    assert docs[4]["source_uri"] in prompt
    assert prompt.endswith(result.record["run_id"])
    assert [row["input"]["names"] for row in result.outputs] == [
        ["p0.png", "p1.png"],
        ["p2.png", "p3.png"],
        ["p4.png"],
    ]


# Records


def test_a_picture_is_a_document_without_text(project, chain):
    result = project(FIVE).run(images(chain), MockChatModel())
    docs = result.rows("docs.jsonl")
    assert [row["title"] for row in docs] == list(FIVE)
    assert {(row["status"], row["media_type"], row["text"], row["chunks"]) for row in docs} == {
        ("ok", "image/png", None, 0)
    }
    assert [row["bytes"] for row in docs] == list(map(len, FIVE.values()))
    assert all(row["hash"].startswith("sha256:") for row in docs)
    assert result.rows("chunks.jsonl") == []
    counts = result.record["counts"]
    assert (counts["documents"], counts["chunks"], counts["items"]["total"]) == (5, 0, 3)


def test_a_record_for_each_group_and_step(project, chain):
    result = project(FIVE).run(images(chain, LOOK, REPORT), MockChatModel("seen"))
    docs, rows = result.rows("docs.jsonl"), result.of("look")
    assert [(row["source_uri"], row["doc_id"], row["chunk_id"]) for row in rows] == [
        (None, None, None),
        (None, None, None),
        (docs[4]["source_uri"], docs[4]["doc_id"], None),
    ]
    assert [row["group"]["ids"] for row in rows] == [
        [docs[0]["doc_id"], docs[1]["doc_id"]],
        [docs[2]["doc_id"], docs[3]["doc_id"]],
        [docs[4]["doc_id"]],
    ]
    assert [(row["output"], row["tokens_prompt"], row["tokens_completion"]) for row in rows] == [("seen", 4, 1)] * 3
    assert "group" not in result.of("report")[0]
    for name in ("outputs.jsonl", "docs.jsonl", "run.yaml"):
        assert b"IHDR" not in (result.dir / name).read_bytes()
        assert b"iVBOR" not in (result.dir / name).read_bytes()


def test_record_ids_follow_the_pictures(project, chain):
    work = project(FIVE)
    first, again = (work.run(images(chain), MockChatModel(answer)) for answer in ("a", "b"))
    assert [row["record_id"] for row in first.outputs] == [row["record_id"] for row in again.outputs]
    assert len({row["record_id"] for row in first.outputs}) == 3
    (work.root / "data" / "p3.png").write_bytes(png(9))
    changed = work.run(images(chain), MockChatModel())
    same = [one["record_id"] == other["record_id"] for one, other in zip(first.outputs, changed.outputs, strict=True)]
    assert same == [True, False, True]
    group = PictureGroup(0, tuple(_pictures(FIVE)))
    assert record_id("c", "look", group.item_id, group.content) != record_id("c", "look", group.item_id, "")


# Files that cannot be shown, failures, limits


def test_what_cannot_be_shown_is_in_no_group(project, chain):
    model = MockChatModel()
    work = project({**FIVE, "p1.txt": "text", "p2.bmp": b"BM", "p2b.png": b"\x89PNG\r\n\x1a\nbroken", "p9.png": b""})
    work.config["processing"] = {"limits": {"max_file_mb": 0.001}}
    (work.root / "data" / "p3.png").write_bytes(png(padding=2000))
    result = work.run(images(chain, concurrency=1), model)
    assert (result.status, result.exit_status) == ("partial", 10)
    assert [len(pictures) for pictures in shown(model)] == [2, 2]
    assert {row["title"]: row["status"] for row in result.rows("docs.jsonl")} == {
        **dict.fromkeys(("p0.png", "p1.png", "p2.png", "p4.png"), "ok"),
        **dict.fromkeys(("p1.txt", "p2.bmp", "p9.png"), "skipped"),
        **dict.fromkeys(("p2b.png", "p3.png"), "failed"),
    }
    assert [(row["stage"], row["source_uri"][-7:]) for row in result.errors] == [
        ("read", "p2b.png"),
        ("read", "/p3.png"),
    ]


def test_a_failed_group_says_which_pictures_it_was(project, chain):
    def answer(request):
        if ImagePart(data=png(2)) in request.messages[-1].content:
            raise ChatModelError("no such picture", op="mock.complete")
        return "seen"

    result = project(FIVE).run(images(chain, LOOK), MockChatModel(answer))
    assert (result.status, result.exit_status) == ("partial", 10)
    [error] = result.errors
    assert (error["source_uri"], error["group"]["names"]) == (None, ["p2.png", "p3.png"])
    assert [row["status"] for row in result.of("look")] == ["ok", "failed", "ok"]


def test_the_limit_counts_groups(project, chain):
    model = MockChatModel()
    result = project(FIVE).run(images(chain, size=2, concurrency=1), model, limit=2)
    assert [len(pictures) for pictures in shown(model)] == [2, 2]
    assert len(result.rows("docs.jsonl")) == 4


def test_a_bad_picture_stops_before_any_call_when_failures_end_the_run(project, chain):
    model = MockChatModel()
    work = project({**FIVE, "p9.png": b"broken"})
    result = work.run(images(chain, continue_on_error=False), model)
    assert (result.status, result.exit_status) == ("failed", 5)
    assert model.call_count == 0
    (work.root / "data" / "p9.png").unlink()
    result = work.run(images(chain, continue_on_error=False, concurrency=1), model)
    assert (result.status, [len(pictures) for pictures in shown(model)]) == ("completed", [2, 2, 1])


def test_only_the_groups_under_way_hold_pictures(project, chain, monkeypatch):
    most = 0

    class Counting(ChatModel):
        provider_name = "counting"

        async def complete_async(self, request):
            nonlocal most
            del request
            most = max(most, sum(isinstance(thing, Picture) for thing in gc.get_objects()))
            usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="counting")
            return ChatResponse(content="seen", model="m", usage=usage)

    # The window holds ten of them, and a batch of the reader up to sixteen more.
    monkeypatch.setattr(execution, "WINDOW_BYTES", 100_000)
    work = project({f"p{number:03}.png": png(number, padding=10_000) for number in range(120)})
    result = work.run(images(chain, size=1, concurrency=1), Counting())
    assert result.record["counts"]["items"]["ok"] == 120
    assert 0 < most <= 45


# What is refused


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"inputs": {"t": "${group.name}"}}, "did you mean 'group.names'"),
        (
            {"inputs": {"t": "${group.x}"}},
            "group.index, group.size, group.ids, group.names, group.source_uris",
        ),
        ({"inputs": {"t": "${chunk.text}"}}, "the items of inputs.mode images_group are groups of pictures"),
        ({"inputs": {"t": "${document.title}"}}, "groups of pictures"),
        ({"inputs": {"t": "${document.all.one}"}}, "groups of pictures"),
        ({"inputs": {"t": "${row.a}"}}, "the items of inputs.mode images_group are groups of pictures"),
        ({"inputs": {"t": "${input.pictures}"}}, "can never exist"),
        ({"inputs": {"t": "${all.one} ${group.index}"}}, "this step runs once, after all items"),
        ({"inputs": {"t": "${all.one}"}, "mode": "multimodal"}, "when no pictures are there"),
        ({"prompt": "inline: {{ pictures }}", "mode": "multimodal"}, "'pictures', which nothing provides"),
        ({"when": "group.nothing == 1"}, "group.nothing"),
        ({"mode": "pictures"}, "allowed: text, multimodal"),
    ],
)
def test_references_and_steps_that_can_never_work(project, chain, step, told):
    wrong = {"id": "x", "prompt": "inline: {{ t }}", **step}
    with pytest.raises(ConfigError) as caught:
        project(FIVE).prepare(images(chain, {**LOOK, "id": "one"}, wrong))
    assert told in str(caught.value)
    assert exit_status(caught.value) == 2


@pytest.mark.parametrize("mode", ["chunks", "documents"])
def test_pictures_and_groups_belong_to_their_mode(project, chain, mode):
    work = project(FIVE)
    inputs = {"connector": "docs", "mode": mode}
    with pytest.raises(ConfigError, match="write `mode: images_group` under inputs"):
        work.prepare({**chain(LOOK), "inputs": inputs})
    with pytest.raises(ConfigError, match="images belongs to mode images_group"):
        work.prepare({**chain(), "inputs": {**inputs, "images": {"group_size": 2}}})
    with pytest.raises(ConfigError, match=r"\$\{group.index\} in step 'a' has no value"):
        work.prepare({**chain({"id": "a", "prompt": "inline: ${group.index}"}), "inputs": inputs})


@pytest.mark.parametrize("size", [0, 17, "many", None])
def test_sizes_that_cannot_be(project, chain, size):
    with pytest.raises(ConfigError, match="group_size"):
        project(FIVE).prepare(images(chain, size=size))


def test_a_model_without_sight_is_refused_before_anything_else(project, chain):
    pytest.importorskip("xllamacpp")
    work = project(FIVE)
    work.config["inference"] = {"provider": "local", "local": {"model": "smollm2-135m-instruct"}}
    path = work.write("chain.yaml", images(chain))
    with pytest.raises(ConfigError) as caught:
        work.prepare(path)
    assert exit_status(caught.value) == 2
    for part in ("chain.yaml:", "steps[0].mode", "'look'", "'local'", "mock, openai"):
        assert part in str(caught.value)


@pytest.mark.parametrize(("own", "sees"), [({}, False), ({"params": {"model": "gpt-4o"}}, True)])
def test_a_model_whose_name_tells_that_it_has_no_sight_is_refused(project, chain, monkeypatch, own, sees):
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-nobody")
    work = project(FIVE)
    work.config["inference"] = {"provider": "openai", "openai": {"model": "gpt-4"}}
    if sees:
        assert work.prepare(images(chain, {**LOOK, **own}))
        return
    with pytest.raises(ConfigError, match="takes no pictures"):
        work.prepare(images(chain, {**LOOK, **own}))


def test_pictures_that_nobody_is_shown_are_worth_a_warning(project, chain, caplog):
    text_only = {"id": "a", "prompt": "inline: ${join(group.names, ' ')}"}
    project(FIVE).prepare(images(chain, text_only))
    assert "chain.pictures_not_shown" in caplog.text


# The intake alone


def _pictures(files):
    connector = MemoryConnector(files)
    reader = PictureReader(connector, ProcessingConfig())
    return [reader.read(ref) for ref in connector.list()]


@pytest.fixture
def start(tmp_path):
    folders = []

    def make(files, stop=None, **wishes):
        connector = MemoryConnector(files)
        reader = PictureReader(connector, ProcessingConfig())
        folders.append(create_run(tmp_path))
        intake = GroupIntake(reader, connector.list(), folders[0], GroupWishes(**wishes), stop or Stop())
        return connector, folders[0], intake

    yield make
    for folder in folders:
        folder.close()


def told(events):
    return [
        [picture.document.title for picture in event.item.pictures]
        if isinstance(event, ItemRead)
        else f"{event.document.title} {event.document.status}"
        for event in events
    ]


def test_events_in_order(start):
    _, folder, intake = start({"a": png(1), "b": b"", "c": png(2), "d": png(3)}, size=2)
    assert told(intake.events()) == ["a ok", "b skipped", "c ok", ["a", "c"], "d ok", ["d"]]
    intake.flush()
    assert [row["title"] for row in read_lines(folder.path / "docs.jsonl")] == ["a", "b", "c", "d"]


def test_all_first_looks_at_all_and_reads_again(start):
    _, _, intake = start({"a": png(1), "b": b"", "c": png(2), "d": png(3)}, size=2, all_first=True)
    assert told(intake.events()) == ["a ok", "b skipped", "c ok", "d ok", ["a", "c"], ["d"]]


def test_a_picture_that_changes_in_between_ends_the_run(start):
    connector, _, intake = start({"a": png(1), "b": png(2)}, size=2, all_first=True)
    events = intake.events()
    assert isinstance(next(events), DocumentRead)
    connector.files["a"] = png(9)
    with pytest.raises(FrameworkError, match="changed between the two times"):
        list(events)


def test_a_stop_begins_no_further_picture_and_leaves_none_unaccounted_for(start):
    stop = Stop()
    _, _, intake = start({"a": png(1), "b": png(2), "c": png(3)}, stop, size=3)
    events = intake.events()
    next(events)
    stop.request(StopReason.CANCELLED)
    assert told(events) == [["a"]]
