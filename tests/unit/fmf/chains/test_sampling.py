from __future__ import annotations

from collections import Counter

import pytest

from fmf.chains.dry_run import dry_run
from fmf.chains.sampling import Sample, sampled_items
from fmf.chains.stop import StopReason
from fmf.errors import ConfigError

SAY = {"id": "say", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}}
PER_DOCUMENT = {"id": "doc", "prompt": "inline: of {{ t }}", "inputs": {"t": '${join(document.all.say, ",")}'}}
SIZES = (1, 2, 30, 5)


@pytest.fixture
def parts(project):
    """Documents of one, two, thirty and five chunks, and one that is empty."""
    texts = {f"d{n}.md": "\n\n".join(f"# H{k}\n\ntext {n} {k}" for k in range(size)) for n, size in enumerate(SIZES)}
    work = project({**texts, "nothing.md": ""})
    work.config["processing"] = {"text": {"chunking": {"strategy": "by_heading", "max_tokens": 50}}}
    return work


def sources(result):
    return Counter(row["source_uri"].rpartition("/")[2] for row in result.outputs)


@pytest.mark.parametrize(("size", "spread"), [(4, (1, 1, 1, 1)), (6, (1, 2, 2, 1)), (11, (1, 2, 4, 4)), (99, SIZES)])
def test_a_sample_is_spread_over_the_documents(parts, chain, size, spread):
    result = parts.run(chain(SAY), sample=size)
    if size == 6:  # the sixth is the second one of some document with more
        assert sum(sources(result).values()) == 6
        assert max(sources(result).values()) == 2
        assert len(sources(result)) == 4
    else:
        assert tuple(sources(result)[f"d{n}.md"] for n in range(4)) == spread
    assert result.status == "completed"
    assert result.record["counts"]["items"]["ok"] == min(size, sum(SIZES))
    assert result.record["inputs"]["sample"] == {"items": size, "seed": 0}


def test_the_same_sample_is_drawn_each_time_and_another_with_another_seed(parts, chain):
    drawn = [
        [row["chunk_id"] for row in parts.run(chain(SAY), sample=8, sample_seed=seed).outputs] for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_items_of_a_sample_come_in_input_order_and_a_smaller_one_is_part_of_it(parts, chain):
    every = [row["chunk_id"] for row in parts.run(chain(SAY)).outputs]
    large = [row["chunk_id"] for row in parts.run(chain(SAY), sample=12).outputs]
    small = [row["chunk_id"] for row in parts.run(chain(SAY), sample=5).outputs]
    assert large == [one for one in every if one in large]
    assert set(small) < set(large) < set(every)


def test_steps_per_document_run_for_documents_of_the_sample_alone(parts, chain):
    result = parts.run(chain(SAY, PER_DOCUMENT), sample=2)
    assert Counter(row["step_id"] for row in result.outputs) == {"say": 2, "doc": 2}
    assert {row["status"] for row in result.outputs} == {"ok"}


def test_a_sample_of_whole_documents_and_of_rows(project, chain):
    work = project({f"d{n}.md": f"text {n}" for n in range(9)})
    whole = chain({**SAY, "inputs": {"t": "${document.text}"}}, inputs={"connector": "docs", "mode": "documents"})
    assert len(work.run(whole, sample=4).outputs) == 4
    for name in ("a.csv", "b.csv"):
        work.write(f"data/{name}", "id,what\n" + "".join(f"{name}{n},thing {n}\n" for n in range(50)))
    rows = chain(
        {**SAY, "inputs": {"t": "${row.text}"}},
        inputs={"connector": "docs", "select": "*.csv", "mode": "table_rows", "table": {"pass_through": "id"}},
    )
    assert sources(work.run(rows, sample=10)) == {"a.csv": 5, "b.csv": 5}


def test_a_plan_counts_the_sample_that_the_run_takes(parts, chain):
    plan = dry_run(parts.prepare(chain(SAY, PER_DOCUMENT), sample=7, dry_run=True))
    assert (plan.items, [step.to_ask for step in plan.steps]) == (7, [7, 4])
    done = parts.run(chain(SAY, PER_DOCUMENT), sample=7)
    again = dry_run(parts.prepare(chain(SAY, PER_DOCUMENT), sample=7, dry_run=True, reuse=done.record["run_id"]))
    assert [(step.answered, step.to_ask) for step in again.steps] == [(7, 0), (4, 0)]


def test_a_run_that_is_stopped_while_it_reads_draws_no_sample(parts, chain):
    run = parts.start(chain(SAY), sample=3)
    run.stop.request(StopReason.INTERRUPTED)
    report = run.execute()
    assert report.status == "interrupted"
    assert (report.run_dir / "outputs.jsonl").read_bytes() == b""


def test_limit_and_sample_do_not_go_together(parts, chain):
    with pytest.raises(ConfigError, match="limit and sample do not go together"):
        parts.prepare(chain(SAY), sample=3, limit=3)


def test_every_document_is_as_likely_whatever_its_size(parts, chain):
    docs = parts.run(chain(SAY), limit=99).dir / "docs.jsonl"
    drawn = Counter(end for seed in range(400) for end in sampled_items(Sample(1, seed), docs, whole=False))
    assert len(drawn) == len(SIZES)
    assert min(drawn.values()) > 60  # a hundred each, and not thirty times as often for thirty times as many chunks


def test_ranks_tell_parts_apart():
    assert Sample(1).rank("a", "b") != Sample(1).rank("ab")
    assert Sample(1).rank("a") != Sample(1, seed=1).rank("a")


def test_a_sample_of_groups_of_pictures_is_resumed_as_it_was_drawn(project, chain):
    from chatmodels.providers.mock import MockChatModel
    from unit.fmf.pictures import png

    work = project({f"p{number:02}.png": png(number) for number in range(11)})
    look = {"id": "look", "prompt": "inline: What is on it?", "mode": "multimodal"}
    inputs = {"connector": "docs", "mode": "images_group", "images": {"group_size": 2}}
    every = work.run(chain(look, inputs=inputs))
    whole = work.run(chain(look, inputs=inputs, concurrency=1), sample=3)
    drawn = [row["group"]["ids"] for row in whole.outputs]
    assert len(drawn) == 3
    assert all(ids in [row["group"]["ids"] for row in every.outputs] for ids in drawn)

    class Stopping(MockChatModel):
        async def complete_async(self, request):
            run.stop.request(StopReason.INTERRUPTED)
            return await super().complete_async(request)

    run = work.start(chain(look, inputs=inputs, concurrency=1), Stopping(), sample=3)
    broken = run.execute()
    resumed = work.run(chain(look, inputs=inputs, concurrency=1), resume=broken.run_id)
    assert (broken.status, resumed.status) == ("interrupted", "completed")
    assert [row["group"]["ids"] for row in resumed.outputs] == drawn
