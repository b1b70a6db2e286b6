"""`fmf prompt`: look at, test, compare and register prompt versions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fmf.cli.descriptors import room_for_calls
from fmf.cli.output import emit_json, emit_lines, emit_text, note, table, warn
from fmf.cli.session import Group, Session

if TYPE_CHECKING:
    from fmf.chains.trial import Sample, Trial
    from fmf.prompts.checks import TestOutcome
    from fmf.prompts.prompt import Prompt
    from fmf.prompts.registry import PromptRegistry

F = TypeVar("F", bound=Callable[..., Any])

prompt = Group("prompt", help="Register, test and compare prompts.")


@prompt.command("register")
@click.argument("ref", metavar="FILE#VERSION")
def register(session: Session, ref: str) -> None:
    """Run the declared tests of a version and add it to the index.

    A registered version whose text changes is refused by every run until the text is restored.
    """
    done = _registry(session).register(_from_here(session, ref))
    facts = {"id": done.prompt.id, "version": done.prompt.version, "content_hash": done.prompt.content_hash}
    if session.json:
        emit_json({**facts, "added": done.added, "tests": [_outcome(item) for item in done.tests]})
        return
    if not done.added:
        note(f"{done.prompt.ref} was registered before, with the same text")
    emit_text(f"registered {done.prompt.ref} hash={done.prompt.content_hash}")


@prompt.command("ls")
def ls(session: Session) -> None:
    """List every version: its name, whether it is registered, its hash and its file."""
    listings = _registry(session).list()
    if session.json:
        emit_json(
            {
                "prompts": [
                    {
                        "id": item.id,
                        "version": item.version,
                        "state": item.state,
                        "content_hash": item.content_hash,
                        "path": item.path,
                    }
                    for item in listings
                ]
            }
        )
        return
    rows = [(f"{item.id}#{item.version}", item.state, item.content_hash, item.path) for item in listings]
    table(("prompt", "state", "hash", "file"), rows)
    if not rows:
        note(f"no prompts in {session.config.prompt_registry.path!r}")


@prompt.command("show")
@click.argument("ref")
def show(session: Session, ref: str) -> None:
    """Show one version as its file has it: what must be given, and everything that the model sees."""
    registry = _registry(session)
    found = registry.read(_from_here(session, ref))
    state = registry.state_of(found)
    if session.json:
        emit_json({**_facts(found), "state": state})
        return
    emit_lines([f"prompt: {found.ref}", f"hash: {found.content_hash}", f"state: {state}"])
    emit_lines([f"requires: {', '.join(found.required) or 'nothing'}"])
    if found.system:
        emit_text(f"\n[system]\n{found.system}")
    for question, answer in found.examples:
        emit_text(f"\n[example: user]\n{question}\n[example: assistant]\n{answer}")
    emit_text(f"\n[template]\n{found.template}")


def _sample_options(limit_help: str, limit: int | None) -> Callable[[F], F]:
    """The options of what asks a model about a sample."""
    options = (
        click.option("--limit", type=click.IntRange(min=1), default=limit, metavar="N", help=limit_help),
        click.option(
            "--concurrency", type=click.IntRange(1, 1024), default=8, metavar="N", help="Calls at once.  [default: 8]"
        ),
    )

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@prompt.command("test")
@click.argument("ref")
@click.option("--sample", "path", metavar="FILE", help="Rows to ask the model about: a table, or JSON lines.")
@click.option("--expect", metavar="COLUMN", help="The column of the sample with the expected answers.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), metavar="SHARE", help="The least share of right answers.  [default: 1]"
)
@_sample_options("Take the first N rows of the sample.  [default: all]", None)
def test(
    session: Session,
    ref: str,
    *,
    path: str | None,
    expect: str | None,
    threshold: float | None,
    limit: int | None,
    concurrency: int,
) -> int | None:
    """Run the declared tests of one version; with --sample, ask the model too.

    The declared tests look at the rendered text. With --sample the configured model is asked about every row, the
    columns fill the names of the prompt, and each answer is compared with the column --expect: the same text, or the
    same JSON. Nothing is written. Failed tests and a share below --threshold end with 8.
    """
    from fmf.errors import PromptError, exit_status

    threshold = _checked_sample(path, expect, threshold, limit)
    registry, ref = _registry(session), _from_here(session, ref)
    found = registry.read(ref)
    outcomes = registry.test(ref)
    passed = all(item.passed for item in outcomes)
    facts: dict[str, Any] = {"prompt": ref, "passed": passed, "tests": list(map(_outcome, outcomes))}
    if not session.json:
        emit_lines([("ok" if item.passed else "FAILED", item.name, "; ".join(item.failures)) for item in outcomes])
    if not outcomes:
        note(f"{ref} declares no tests")
    if path is not None and expect is not None and passed:
        sampled = _judged(session, found, _sample(path, limit, concurrency), expect, threshold)
        passed = sampled["passed"]
        facts |= {"passed": passed, "sample": sampled}
    elif path is not None:
        note("the model was not asked: a declared test failed")
    if session.json:
        emit_json(facts)
    return None if passed else exit_status(PromptError("a test failed"))


@prompt.command("compare")
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF")
@click.option("--sample", "path", metavar="FILE", required=True, help="Rows to ask about: a table, or JSON lines.")
@_sample_options("Take the first N rows of the sample.  [default: 20]", 20)
def compare(session: Session, old: str, new: str, *, path: str, limit: int, concurrency: int) -> int | None:
    """Ask the model with two versions about the same rows, and show the answers side by side.

    The columns of the sample fill the names of both prompts. Every answer comes with its tokens and its cost; rows
    without an answer end the command with 10.
    """
    from fmf.chains.trial import Spent
    from fmf.cli.trials import pair_facts, write_pairs
    from fmf.errors import PARTIAL

    registry = _registry(session)
    prompts = [registry.read(_from_here(session, ref)) for ref in (old, new)]
    trial = _trial(session)
    pairs = trial.compare(prompts[0], prompts[1], _sample(path, limit, concurrency))
    spent = (Spent(), Spent())
    for pair in pairs:
        spent[0].add(pair.old)
        spent[1].add(pair.new)
    refs = (prompts[0].ref, prompts[1].ref)
    if session.json:
        emit_json(pair_facts(refs, pairs, spent, trial.model_name))
    else:
        write_pairs(refs, pairs, spent)
    first = spent[0].first_error or spent[1].first_error
    if first is not None and not spent[0].answered and not spent[1].answered:
        raise first
    return PARTIAL if first is not None else None


def _checked_sample(path: str | None, expect: str | None, threshold: float | None, limit: int | None) -> float:
    """The threshold; refuses options that only make sense together."""
    if path is None:
        given = {"--expect": expect, "--threshold": threshold, "--limit": limit}
        alone = next((name for name, value in given.items() if value is not None), None)
        if alone is not None:
            raise click.UsageError(f"{alone} needs --sample FILE")
    elif expect is None:
        raise click.UsageError("--sample needs --expect COLUMN, the column with the expected answers")
    if threshold is not None and math.isnan(threshold):
        raise click.BadParameter("nan is no share; give a number from 0 to 1", param_hint="--threshold")
    return 1.0 if threshold is None else threshold


def _sample(path: str, limit: int | None, concurrency: int) -> Sample:
    from fmf.chains.trial import Sample

    room = room_for_calls(concurrency)
    if room < concurrency:
        warn(f"the process may open few files (ulimit -n): {room} calls at once instead of {concurrency}")
    return Sample(path, limit, room)


def _trial(session: Session) -> Trial:
    from fmf.chains.trial import Trial

    session.warn_of_planned()
    session.begin()
    return Trial.of(session.loaded, session.secrets)


def _judged(session: Session, found: Prompt, sample: Sample, expect: str, threshold: float) -> dict[str, Any]:
    from fmf.cli.trials import verdict_facts, verdict_lines

    trial = _trial(session)
    verdict = trial.judge(found, sample, expect)
    if not session.json:
        emit_lines(verdict_lines(verdict, threshold))
    first = verdict.spent.first_error
    if first is not None and not verdict.spent.answered:
        raise first
    return verdict_facts(verdict, threshold, trial.model_name)


@prompt.command("diff")
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF")
def diff(session: Session, old: str, new: str) -> None:
    """Show how two versions differ in system text, template and examples."""
    registry = _registry(session)
    old, new = _from_here(session, old), _from_here(session, new)
    text = registry.diff(old, new)
    if session.json:
        emit_json({"old": _facts(registry.read(old)), "new": _facts(registry.read(new)), "diff": text})
    elif text:
        emit_text(text, end="")
    else:
        note(f"the model sees the same in {old} and {new}")


def _registry(session: Session) -> PromptRegistry:
    from fmf.prompts.registry import PromptRegistry

    tokenizer = session.config.processing.text.chunking.tokenizer

    def count_tokens(text: str) -> int:
        from fmf.processing.cutting.tokens import count_one

        return count_one(text, tokenizer)

    return PromptRegistry.from_config(session.config.prompt_registry, session.root, count_tokens=count_tokens)


def _from_here(session: Session, ref: str) -> str:
    """A reference whose file lies in the working directory, made independent of it."""
    name, mark, version = ref.rpartition("#")
    path = Path.cwd() / name
    if not mark or not name.endswith((".yaml", ".yml")) or not path.is_file() or (session.root / name).is_file():
        return ref
    return f"{path}#{version}"


def _facts(found: Prompt) -> dict[str, Any]:
    return {
        "id": found.id,
        "version": found.version,
        "content_hash": found.content_hash,
        "path": str(found.path) if found.path else None,
        "required": list(found.required),
        "system": found.system,
        "template": found.template,
        "examples": [{"input": question, "output": answer} for question, answer in found.examples],
    }


def _outcome(item: TestOutcome) -> dict[str, Any]:
    return {"name": item.name, "passed": item.passed, "failures": list(item.failures)}
