"""Everything that a chain needs, found and checked before the first document is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmf.artefacts.folder import artefacts_root
from fmf.artefacts.run_id import new_run_id, timestamp
from fmf.chains.budget import check_budget
from fmf.chains.changes import Since
from fmf.chains.compile import compile_chain
from fmf.chains.items import run_names
from fmf.chains.plan import ChainPlan
from fmf.chains.prepared import Prepared, RunOptions
from fmf.chains.saves import save_path
from fmf.chains.spec import ChainSpec, LoadedChain, load_chain
from fmf.chains.takeup import facts_of
from fmf.chains.unfinished import Unfinished
from fmf.errors import ConfigError

if TYPE_CHECKING:
    from fmf.config.loader import LoadedConfig
    from fmf.connectors.base import DataConnector
    from fmf.inference.client import Keys


def prepare(
    loaded: LoadedConfig,
    secrets: Keys,
    chain: str | Path | Mapping[str, Any] | None,
    options: RunOptions | None = None,
) -> Prepared:
    """Find and check everything that `chain` needs; nothing is asked and nothing is written.

    Args:
        loaded: the configuration.
        secrets: where the model's key is found.
        chain: a chain file, or a mapping of the same shape; `None` is the one of the run to go on with.
        options: what the caller says about this run.

    Raises:
        ConfigError: something in the chain or the configuration is wrong.
        PromptError: a prompt is missing, or not the one that was registered.
        AuthError: the model's key is missing.
    """
    from chatmodels.factory import create_chat_model
    from fmf.chains.sight import check_sight
    from fmf.inference.check import AnyKey
    from fmf.inference.client import chat_model_config, identity_of

    options = options or RunOptions()
    unfinished = None
    if options.resume is not None:
        unfinished = Unfinished.find(artefacts_root(loaded.value.artefacts_dir, loaded.root), options.resume)
        size, seed = unfinished.sample or (None, 0)
        options = replace(options, limit=unfinished.limit, sample=size, sample_seed=seed)
        options = replace(options, changed_since=unfinished.facts["changed_since"])
        chain = chain if chain is not None else unfinished.chain_path
    if options.limit is not None and options.sample is not None:
        raise ConfigError(
            "limit and sample do not go together",
            op="run.sample",
            hint="limit takes the first items, sample takes some of all of them: give one",
        )
    if chain is None:
        raise ConfigError("no chain to run", op="chain.load", hint="give the chain that the run was begun with")
    found, plan = checked(loaded, secrets, chain)
    keys = AnyKey(secrets) if options.dry_run else secrets
    settings = chat_model_config(loaded.value, keys, root=loaded.root)
    model = create_chat_model(settings)
    check_sight(found, model.get_model_info().capabilities, settings.provider)
    connector, select = _connector(loaded, secrets, found.spec), _select(loaded, found.spec)
    prepared = Prepared(
        loaded=loaded,
        chain=found,
        plan=plan,
        connector=connector,
        select=select,
        model=model,
        provider=settings.provider,
        model_name=settings.model or model.get_model_info().name,
        identity=identity_of(model, settings),
        options=options,
        since=since_of(loaded, options.changed_since, connector, select, plan.chain),
        unfinished=unfinished,
    )
    if unfinished is not None:
        unfinished.check(facts_of(prepared))
    if not options.dry_run:  # a plan tells of the budget, whatever it is
        check_budget(prepared)
    return prepared


def since_of(
    loaded: LoadedConfig,
    reference: str | None,
    connector: DataConnector,
    select: Sequence[str],
    chain: str | None = None,
) -> Since | None:
    """The earlier run that a caller named, if one was named; raises as `Since`."""
    if reference is None:
        return None
    root = artefacts_root(loaded.value.artefacts_dir, loaded.root)
    return Since(root, reference, connector, select, loaded.value.processing, chain)


def checked(
    loaded: LoadedConfig, secrets: Keys, chain: str | Path | Mapping[str, Any]
) -> tuple[LoadedChain, ChainPlan]:
    """Check everything about `chain` that takes neither a secret nor a model; no document is touched.

    Args:
        loaded: the configuration.
        secrets: where a source would find its keys; none is looked for.
        chain: a chain file, or a mapping of the same shape.

    Raises:
        ConfigError: something in the chain or the configuration is wrong.
        PromptError: a prompt is missing, or not the one that was registered.
    """
    from fmf.processing.cutting.tokens import known
    from fmf.prompts.registry import PromptRegistry

    config = loaded.value
    known(config.processing.text.chunking.tokenizer)
    found = load_chain(chain)
    _connector(loaded, secrets, found.spec)
    prompts = PromptRegistry.from_config(config.prompt_registry, loaded.root)
    sinks = [sink.name for sink in config.export.sinks]
    plan = compile_chain(found, prompts, system_prompt=config.inference.system_prompt, sinks=sinks, config=config)
    _check_paths(loaded, plan)
    return found, plan


def chain_path(loaded: LoadedConfig, given: str | None) -> Path:
    """The chain file that a command means.

    Args:
        loaded: the configuration, whose `run.chain_config` is meant when nothing is given.
        given: a path from the working directory; one that does not exist there counts from the configuration's folder.

    Raises:
        ConfigError: neither says which chain.
    """
    if given is not None:
        here = Path(given).expanduser()
        there = loaded.root / here
        return there if not here.exists() and there.exists() else here
    named = loaded.value.run.chain_config
    if named is None:
        raise ConfigError(
            "no chain to run: neither --chain nor run.chain_config of fmf.yaml names one",
            op="chain.load",
            hint="give --chain FILE",
        )
    return loaded.root / named


def _check_paths(loaded: LoadedConfig, plan: ChainPlan) -> None:
    """Refuse what cannot be written where the configuration and the chain want it, before anything is paid for."""
    artefacts = artefacts_root(loaded.value.artefacts_dir, loaded.root)
    names = run_names(new_run_id(), plan.chain, timestamp())
    for output in plan.saves:
        save_path(output.save, names, loaded.root, artefacts)


def _connector(loaded: LoadedConfig, secrets: Keys, chain: ChainSpec) -> DataConnector:
    from fmf.config.lookup import connector_named
    from fmf.connectors.base import build_connector

    spec = connector_named(loaded.value, _connector_name(loaded, chain))
    return build_connector(spec, root=loaded.root, secrets=secrets)


def _connector_name(loaded: LoadedConfig, chain: ChainSpec) -> str:
    name = chain.inputs.connector or loaded.value.run.inputs.connector
    if name is None:
        known = ", ".join(connector.name for connector in loaded.value.connectors) or "none"
        raise ConfigError(
            f"chain {chain.name!r} names no connector, and neither does run.inputs of fmf.yaml",
            op="chain.load",
            hint=f"write `inputs: {{connector: NAME}}`; known: {known}",
        )
    return name


def _select(loaded: LoadedConfig, chain: ChainSpec) -> tuple[str, ...]:
    """The chain's patterns; where it has none and reads what the configuration reads, the configuration's."""
    given = loaded.value.run.inputs
    if chain.inputs.select or chain.inputs.connector not in (None, given.connector):
        return chain.inputs.select
    return given.select
