"""`fmf prompt`: look at, test, compare and register prompt versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmf.cli.output import emit_json, emit_lines, emit_text, note, table
from fmf.cli.session import Group, Session

if TYPE_CHECKING:
    from fmf.prompts.checks import TestOutcome
    from fmf.prompts.prompt import Prompt
    from fmf.prompts.registry import PromptRegistry

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


@prompt.command("test")
@click.argument("ref")
def test(session: Session, ref: str) -> int | None:
    """Run the declared tests of one version; nothing is asked of a model and nothing is written."""
    from fmf.errors import PromptError, exit_status

    outcomes = _registry(session).test(_from_here(session, ref))
    if session.json:
        emit_json(
            {"prompt": ref, "passed": all(item.passed for item in outcomes), "tests": list(map(_outcome, outcomes))}
        )
    else:
        for item in outcomes:
            emit_lines([("ok" if item.passed else "FAILED", item.name, "; ".join(item.failures))])
    if not outcomes:
        note(f"{ref} declares no tests")
    return None if all(item.passed for item in outcomes) else exit_status(PromptError("a test failed"))


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
