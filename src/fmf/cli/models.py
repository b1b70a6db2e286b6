"""`fmf models`: which providers and models are known, and fetching the embedded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fmf.cli.output import emit_json, emit_lines, note, table
from fmf.cli.session import Group, Session

if TYPE_CHECKING:
    from chatmodels.weights import PullProgress, Weights
    from fmf_core.errors import PluginNotFoundError

models = Group("models", help="List, fetch and describe models.")


@models.command("ls")
def ls(session: Session) -> None:
    """List the providers, and the models that can be fetched."""
    from chatmodels.pricing import table as prices
    from chatmodels.registry import get_chat_model_metadata, list_chat_models
    from chatmodels.weights import known_models

    days = {name: seller.as_of for name, seller in prices().items()}
    providers = [get_chat_model_metadata(name) for name in list_chat_models()]
    if session.json:
        models = [_facts(weights) for weights in known_models()]
        emit_json({"providers": providers, "models": models, "prices_as_of": days})
        return
    rows = [("provider", facts["name"], _needs(facts), facts["description"]) for facts in providers]
    for weights in known_models():
        state = "ready" if _ready(weights) else "not fetched"
        rows.append(("model", weights.name, state, weights.description))
    table(("kind", "name", "state", "description"), rows)
    note(f"list prices are of {min(days.values())} or later; fmf models info NAME tells those of a model")


@models.command("pull")
@click.argument("name")
def pull(session: Session, name: str) -> None:
    """Fetch and verify the weights of the embedded model NAME; at once when they are there."""
    from chatmodels import weights

    if name not in {known.name for known in weights.known_models()}:
        raise _unknown(name)
    with _progress(session, name) as report:
        path = weights.pull(name, report=report)
    if session.json:
        emit_json({"name": name, "path": path})
    else:
        emit_lines([str(path)])


@models.command("info")
@click.argument("name")
def info(session: Session, name: str) -> None:
    """Describe the provider or model NAME; of other models, tell the list price where it is known."""
    from chatmodels.pricing import prices_as_of
    from chatmodels.registry import get_chat_model_metadata, list_chat_models
    from chatmodels.weights import known_models

    weights = {known.name: known for known in known_models()}
    if name in weights:
        facts = _facts(weights[name])
    elif name in list_chat_models():
        day = prices_as_of(name)
        facts = {"kind": "provider", **get_chat_model_metadata(name), **({"prices_as_of": day} if day else {})}
    elif priced := _priced(name):
        facts = priced
    else:
        raise _unknown(name)
    if session.json:
        emit_json(facts)
    else:
        table(("fact", "value"), [(key, _shown(value)) for key, value in facts.items()])


def _unknown(name: str) -> PluginNotFoundError:
    from chatmodels.registry import list_chat_models
    from chatmodels.weights import known_models
    from fmf_core.errors import PluginNotFoundError
    from fmf_core.nearest import known_hint

    weights, providers = [known.name for known in known_models()], list_chat_models()
    near = known_hint(name, [*weights, *providers], what="models to fetch, and providers", cutoff=0.7)
    return PluginNotFoundError(
        f"unknown model {name!r}",
        op="models",
        hint=f"{near}; a model's own price can be given in inference.prices",
    )


def _facts(weights: Weights) -> dict[str, Any]:
    from chatmodels.weights import model_folder

    path = model_folder() / weights.file_name
    return {
        "kind": "model",
        "name": weights.name,
        "description": weights.description,
        "provider": "local",
        "context_tokens": weights.context_tokens,
        "bytes": weights.bytes,
        "sha256": weights.sha256,
        "licence": weights.licence,
        "source": f"{weights.distribution} {weights.version}",
        "path": str(path),
        "ready": _ready(weights),
    }


def _priced(name: str) -> dict[str, Any] | None:
    from chatmodels.pricing import BEDROCK, list_price

    listed = list_price(name) or list_price(name, BEDROCK)
    if listed is None:
        return None
    price = {key: value for key, value in listed.price.model_dump().items() if value is not None}
    limit = {} if listed.up_to_tokens is None else {"up_to_prompt_tokens": listed.up_to_tokens}
    return {"kind": "price", "name": name, **price, **limit, "as_of": listed.as_of, "source": listed.source}


def _ready(weights: Weights) -> bool:
    from chatmodels.weights import is_complete, model_folder

    return is_complete(model_folder() / weights.file_name, weights)


def _needs(facts: dict[str, Any]) -> str:
    from fmf.cli.extras import missing_of

    if missing_of(facts["extra"]):
        return f"needs extra {facts['extra']}"
    if facts["source"] in ("built-in", "registered"):
        return "ready"
    from chatmodels.registry import models as registered
    from fmf_core.errors import PluginError

    # Its facts have been asked for, so that it has been imported, as far as it can be.
    try:
        registered.get(facts["name"])
    except PluginError:
        return "cannot be loaded"
    return "ready"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def _progress(session: Session, name: str) -> Iterator[Callable[[PullProgress], None]]:
    if not session.interactive:
        seen: set[str] = set()

        def tell(progress: PullProgress) -> None:
            if progress.stage not in seen and progress.stage != "ready":
                seen.add(progress.stage)
                note(f"{name}: {progress.stage} ({progress.total_bytes / 1e6:.0f} MB)")

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)

        def draw(progress: PullProgress) -> None:
            bar.update(
                task,
                description=f"{name}: {progress.stage}",
                completed=progress.done_bytes,
                total=progress.total_bytes or None,
            )

        yield draw
