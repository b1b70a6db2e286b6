"""`fmf config`: what the configuration says, and whether it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fmf.cli.output import emit_json, emit_lines, table, warn
from fmf.cli.session import Group, Session

if TYPE_CHECKING:
    from fmf.config.loader import LoadedConfig

config = Group("config", help="Show and check the configuration.")


@config.command("show")
def show(session: Session) -> None:
    """Show every setting, its value and where the value comes from; secrets are masked."""
    from fmf.config.display import settings

    rows = settings(session.loaded)
    if session.json:
        emit_json(
            {
                "path": session.loaded.path,
                "profile": session.loaded.profile,
                "config_hash": session.loaded.config_hash,
                "settings": [{"key": key, "value": value, "origin": origin} for key, value, origin in rows],
            }
        )
        return
    table(("setting", "value", "from"), [(key, _compact(value), origin) for key, value, origin in rows])


@config.command("check")
def check(session: Session) -> None:
    """Check the configuration, its profiles and the chain that it names, without touching anything else."""
    from fmf.auth.base import PLANNED, check_auth
    from fmf.cli.extras import missing_of
    from fmf.config.check import check_profiles
    from fmf.inference.check import check_inference
    from fmf.processing.reader import check_settings

    unchecked: dict[str, None] = {}

    def look(loaded: LoadedConfig) -> None:
        if loaded.value.auth.provider not in PLANNED:
            check_auth(loaded.value.auth)
        check_settings(loaded.value.processing)
        unchecked.update(dict.fromkeys(check_inference(loaded.value, root=loaded.root)))
        if loaded.value.observability.otel.enabled and (missing := missing_of("otel")):
            unchecked[f"observability.otel: not installed here: {', '.join(missing)} (extra otel)"] = None

    look(session.loaded)
    checked = [str(session.loaded.path or "defaults only, there is no fmf.yaml here")]
    checked += [f"profile {name}" for name in check_profiles(session.loaded, look, sets=session.sets)]
    for line in unchecked:
        warn(line)
    if session.config.run.chain_config is not None:
        from fmf.chains.prepare import chain_path
        from fmf.chains.prepare import checked as checked_chain
        from fmf.cli.summary import chain_text

        chain, _ = checked_chain(session.loaded, session.secrets, chain_path(session.loaded, None))
        checked.append(f"chain {chain_text(chain)}")
    session.warn_of_planned()
    if session.json:
        emit_json({"ok": True, "checked": checked, "without_effect": session.planned()})
    else:
        emit_lines(f"ok: {line}" for line in checked)


@config.command("schema")
@click.argument("kind", type=click.Choice(("fmf", "chain", "workflow", "run")), default="fmf")
def schema(session: Session, kind: str) -> None:  # noqa: ARG001 - every command takes it
    """Write the JSON Schema of fmf.yaml, of chain files, of workflow files, or of the run.yaml that runs leave."""
    from fmf.chains.run_schema import run_schema
    from fmf.chains.spec import chain_schema
    from fmf.config.schema import json_schema
    from generative_ai_workflow.definition import workflow_schema

    emit_json({"fmf": json_schema, "chain": chain_schema, "workflow": workflow_schema, "run": run_schema}[kind]())


def _compact(value: Any) -> str:
    import orjson

    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
