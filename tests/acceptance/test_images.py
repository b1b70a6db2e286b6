"""Pictures in groups, from outside."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest

from acceptance.outside import ERROR_KEYS, OUTPUT_KEYS, Project, assert_keys, assert_run_record, chain_yaml, fmf_yaml
from peers.scripted_server import Reply, Request, ScriptedServer

PROMPT = "What do you see?"


def png(number: int) -> bytes:
    """A grey PNG of two by two pixels."""
    rows = b"".join(b"\0" + bytes([number, number]) for _ in range(2))
    blocks = ((b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in blocks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


FIVE = {f"data/p{number}.png": png(number) for number in range(5)}
INPUTS = {"connector": "docs", "select": ["**/*.png"], "mode": "images_group", "images": {"group_size": 2}}
LOOK = {"id": "look", "prompt": f"inline: {PROMPT}", "mode": "multimodal"}


def pictures(request: Request) -> list[bytes]:
    """The bytes of the image parts of the last message, all of them PNG data URLs."""
    parts = request.body["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [base64.b64decode(url.partition(",")[2], validate=True) for url in urls]


@pytest.mark.behaviour(39)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_five_pictures_in_groups_of_two_are_three_calls(project: Project, concurrency: int) -> None:
    """Behaviour 39: five images, group_size 2: three calls with 2, 2 and 1 image parts."""
    with ScriptedServer(lambda request: Reply(text=f"{len(pictures(request))} pictures")) as server:
        chain = chain_yaml(LOOK, inputs=INPUTS, concurrency=concurrency)
        project.write({**FIVE, "data/notes.md": "no picture", "fmf.yaml": fmf_yaml(server.base_url), "c.yaml": chain})
        run = project.fmf("run", "--chain", "c.yaml").well().run
    calls = sorted(map(pictures, server.chats), key=lambda group: list(FIVE.values()).index(group[0]))
    assert [len(group) for group in calls] == [2, 2, 1]
    assert [picture for group in calls for picture in group] == list(FIVE.values())
    for request in server.chats:
        [message] = request.body["messages"]
        assert message["content"][0] == {"type": "text", "text": PROMPT}
    assert [record["output"] for record in run.outputs] == ["2 pictures", "2 pictures", "1 pictures"]
    assert_keys(run.outputs, OUTPUT_KEYS)
    assert [record["tokens_prompt"] for record in run.outputs] == [11, 11, 11]
    assert [(doc["media_type"], doc["status"]) for doc in run.docs] == [("image/png", "ok")] * 5
    assert_run_record(run.record)
    assert run.record["counts"]["items"] == {"total": 3, "ok": 3, "failed": 0, "skipped": 0}
    assert (run.record["metrics"]["tokens_prompt"], run.record["inputs"]["documents"]) == (33, 5)
    written = b"".join(path.read_bytes() for path in run.path.iterdir() if path.is_file())
    for picture in FIVE.values():
        assert base64.b64encode(picture) not in written


@pytest.mark.behaviour(39)
def test_a_failed_group_leaves_the_others_alone(project: Project) -> None:
    """Behaviour 39: a group that the model refuses and a damaged picture fail alone; the limit counts groups."""

    def answer(request: Request) -> Reply:
        return Reply(status=400) if png(0) in pictures(request) else Reply()

    with ScriptedServer(answer) as server:
        files = {**FIVE, "data/p1.png": png(1)[:20]}
        project.write({**files, "fmf.yaml": fmf_yaml(server.base_url), "c.yaml": chain_yaml(LOOK, inputs=INPUTS)})
        told = project.fmf("run", "--chain", "c.yaml")
        told.refused(10)
        limited = project.fmf("run", "--chain", "c.yaml", "--limit", "1").run
    assert_keys(told.run.errors, ERROR_KEYS)
    assert {error["stage"] for error in told.run.errors} == {"read", "infer"}
    assert [(record["status"], record["group"]["names"]) for record in told.run.outputs] == [
        ("failed", ["p0.png", "p2.png"]),
        ("ok", ["p3.png", "p4.png"]),
    ]
    assert [record["group"]["size"] for record in limited.outputs] == [2]


@pytest.mark.behaviour(39)
def test_a_model_without_sight_is_refused(project: Project) -> None:
    """Behaviour 39: a provider that takes no images ends with 2 before any call, and names those that can."""
    pytest.importorskip("xllamacpp")
    local = fmf_yaml(inference={"provider": "local"})
    project.write({**FIVE, "fmf.yaml": local, "c.yaml": chain_yaml(LOOK, inputs=INPUTS)})
    message = project.fmf("run", "--chain", "c.yaml").refused(2)
    assert "steps[0].mode" in message
    assert "mock, openai" in message
    assert not any(name.startswith("artefacts/") for name in project.files)
