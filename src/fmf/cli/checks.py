"""What `fmf doctor` looks at, one check after the other, each with a time limit."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fmf.cli.extras import EXTRAS, missing_of
from fmf_core.registry import install_hint

if TYPE_CHECKING:
    from fmf.cli.session import Session

LIMIT_S = 10.0
"""How long one check may take, in seconds."""

State = Literal["ok", "off", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    """`off` is something that the configuration does not need; only `failed` makes the doctor unhappy."""
    detail: str
    hint: str = ""
    exit_status: int = 0


def checks(session: Session, *, limit_s: float = LIMIT_S) -> Iterator[Check]:
    """Look at everything, one by one; what the configuration needs and does not have is `failed`."""
    from fmf import __version__

    yield Check("fmf", "ok", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    configuration = _guarded("configuration", lambda: _configuration(session), limit_s)
    yield configuration
    if configuration.state == "failed":
        yield from (_extra(extra, needed=False) for extra in EXTRAS)
        return
    needed = _needed_extras(session)
    yield from (_extra(extra, needed=extra in needed) for extra in EXTRAS)
    for text in session.planned():
        yield Check("configuration", "warning", text)
    yield _guarded("secrets", lambda: _secrets(session), limit_s)
    for connector in session.config.connectors:
        name = f"connector {connector.name}"
        yield _guarded(name, lambda spec=connector, name=name: _connector(session, spec, name), limit_s)  # type: ignore[misc]
    yield _guarded("inference", lambda: _inference(session), limit_s)
    yield _guarded("artefacts", lambda: _artefacts(session), limit_s)
    if session.config.run.chain_config is not None:
        yield _guarded("chain", lambda: _chain(session), limit_s)


def _guarded(name: str, look: Callable[[], Check], limit_s: float) -> Check:
    """What `look` finds, or why it could not, after `limit_s` at the latest."""
    found: list[Check] = []

    def run() -> None:
        from fmf.errors import exit_status
        from fmf_core.errors import FrameworkError

        try:
            found.append(look())
        except FrameworkError as error:
            found.append(Check(name, "failed", error.message, error.hint, exit_status(error)))
        except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
            found.append(Check(name, "failed", f"{type(error).__name__}: {error}", exit_status=1))

    # A thread of its own that nobody waits for: a check that hangs must not keep the process from ending.
    thread = threading.Thread(target=run, name=f"doctor {name}", daemon=True)
    thread.start()
    thread.join(limit_s)
    return found[0] if found else Check(name, "failed", f"no answer within {limit_s:g} s", exit_status=1)


def _configuration(session: Session) -> Check:
    loaded = session.loaded
    where = str(loaded.path) if loaded.path else "defaults only, there is no fmf.yaml here"
    return Check("configuration", "ok", f"{where}, project {loaded.value.project}, profile {loaded.profile}")


def _needed_extras(session: Session) -> set[str]:
    from chatmodels.registry import get_chat_model_metadata, list_chat_models
    from fmf.connectors.base import connectors

    provider = session.config.inference.provider
    needed = {get_chat_model_metadata(provider)["extra"]} if provider in list_chat_models() else set()
    needed |= {connectors.metadata(spec.type)["extra"] for spec in session.config.connectors}
    return {*needed, "otel"} if session.config.observability.otel.enabled else needed


def _extra(extra: str, *, needed: bool) -> Check:
    name, missing = f"extra {extra}", missing_of(extra)
    if not missing:
        return Check(name, "ok", "installed")
    detail = f"not installed: {', '.join(missing)}"
    if not needed:
        return Check(name, "off", detail)
    return Check(name, "failed", detail, install_hint(extra), exit_status=2)


def _secrets(session: Session) -> Check:
    names, provider = session.secrets.names(), session.config.auth.provider
    if provider == "env":
        # What is in the file is there. Resolving it would blank every value of it, also those that are no secrets.
        return Check("secrets", "ok", f"env: {len(names)} in {session.config.auth.env.file}")
    missing = [name for name in names if session.secrets.find(name) is None]
    if missing:
        return Check("secrets", "failed", f"{provider}: missing {', '.join(missing)}", "fmf keys test", exit_status=3)
    return Check("secrets", "ok", f"{provider}: {len(names)} found")


def _connector(session: Session, spec: object, name: str) -> Check:
    from fmf.connectors.base import build_connector

    source = build_connector(spec, root=session.root, secrets=session.secrets)  # type: ignore[arg-type]
    if callable(reach := getattr(source, "reach", None)):
        return Check(name, "ok", f"reachable, {reach()}")
    first = next(iter(source.list()), None)
    if first is None:
        return Check(name, "warning", "reachable, but nothing matches its patterns")
    return Check(name, "ok", f"reachable, {first.uri} and perhaps more")


def _inference(session: Session) -> Check:
    from fmf.errors import InferenceError, exit_status
    from fmf.inference.client import build_client

    model = build_client(session.config, session.secrets, root=session.root)
    health, about = model.check_health(), model.get_model_info()
    provider = session.config.inference.provider
    detail = f"{provider}, {about.name}: {health.status}{f', {health.detail}' if health.detail else ''}"
    if health.status == "unhealthy":
        return Check("inference", "failed", detail, exit_status=exit_status(InferenceError(detail)))
    return Check("inference", "ok" if health.status == "healthy" else "warning", detail)


def _artefacts(session: Session) -> Check:
    from fmf.artefacts.folder import artefacts_root
    from fmf.errors import exit_status
    from fmf_core.errors import ConfigurationError

    folder = artefacts_root(session.config.artefacts_dir, session.root).absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Check("artefacts", "ok", str(folder))
    detail = f"cannot write below {there}"
    status = exit_status(ConfigurationError(detail))
    return Check("artefacts", "failed", detail, "set artefacts_dir to a folder that can be written", status)


def _chain(session: Session) -> Check:
    from fmf.chains.prepare import chain_path, checked
    from fmf.cli.summary import chain_text

    chain, _ = checked(session.loaded, session.secrets, chain_path(session.loaded, None))
    return Check("chain", "ok", chain_text(chain))
