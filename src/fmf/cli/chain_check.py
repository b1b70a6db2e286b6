"""Checking the chain that the configuration names, without a model and without touching a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmf.cli.session import Session


def check_chain(session: Session, path: str) -> str:
    """Load the chain at `path`, relative to the folder of fmf.yaml, and say what it is.

    Raises:
        ConfigError: it cannot be read, something in it is wrong, or its connector is not in the configuration.
    """
    from fmf.chains.spec import load_chain
    from fmf.config.lookup import connector_named

    chain = load_chain(session.root / path)
    connector = chain.spec.inputs.connector or session.config.run.inputs.connector
    if connector is not None:
        connector_named(session.config, connector)
    steps = len(chain.spec.steps)
    return f"{chain.source}: {chain.spec.name}, {steps} {'step' if steps == 1 else 'steps'}"
