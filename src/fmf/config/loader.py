"""From fmf.yaml, the environment and --set to a checked configuration that knows where every value comes from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fmf.config.masked import masked
from fmf.config.models import FmfConfig
from fmf_core.errors import Code, ConfigurationError
from fmf_core.settings import layered

DEFAULT_FILE: Final = "fmf.yaml"
ENV_PREFIX: Final = "FMF_"
RUN_NAMES: Final = frozenset({"run_id", "chain_id", "date", "now"})
"""Names in `${...}` that a run fills in; the environment never does."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and how it came about."""

    value: FmfConfig
    """The settings."""
    origins: Mapping[str, str]
    """Path of a setting (`connectors[0].root`) to where its value comes from."""
    path: Path | None
    """The file; None when there is none."""
    root: Path
    """The folder that relative paths of the configuration start from: that of the file, or the working directory."""
    profile: str
    """The active profile."""
    config_hash: str
    """`sha256:` and the hash of the settings without secrets; it does not depend on where they come from."""

    def origin(self, path: str) -> str:
        """Where the value at `path` comes from: `default`, `fmf.yaml:12:3`, `environment FMF_PROJECT`, `--set ...`.

        Of a section or a list, this is the origin of its first value.
        """
        if path in self.origins:
            return self.origins[path]
        inside = (origin for key, origin in self.origins.items() if key.startswith((f"{path}[", f"{path}.")))
        return next(inside, "default")


def load_config(
    path: str | Path | None = None,
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Load a configuration: defaults < file < active profile < environment FMF_A__B < `sets`.

    Args:
        path: the file, which must be there; None means fmf.yaml of the working directory, or nothing but defaults.
        profile: the active profile; None means FMF_PROFILE, then `run_profile`.
        sets: `key.path=value`, later ones win.
        environ: the environment; the process's own by default.

    Raises:
        ConfigurationError: the file is not there or malformed, or settings are wrong; the message names every fault.
    """
    file = _file(path)
    found = layered(
        FmfConfig,
        file=file,
        profile=profile,
        env_prefix=ENV_PREFIX,
        environ=os.environ if environ is None else environ,
        sets=sets,
        reserved=RUN_NAMES,
    )
    root = _folder(file) if file else Path.cwd()
    return LoadedConfig(
        value=found.value,
        origins=found.origins,
        path=root / file.name if file else None,
        root=root,
        profile=found.profile,
        config_hash=_hash(found.value),
    )


def _file(path: str | Path | None) -> Path | None:
    if path is None:
        default = Path(DEFAULT_FILE)
        return default if default.exists() else None
    given = Path(path).expanduser()
    if given.is_dir() or not given.exists():
        what = "is a folder, not a file" if given.is_dir() else "does not exist"
        raise ConfigurationError(
            f"the configuration {path} {what}",
            op="config.load",
            code=Code.NOT_FOUND,
            hint="check the path after --config; without it fmf.yaml of the working directory is used",
        )
    return given


def _folder(file: Path) -> Path:
    """The folder of the file, without any `..`: what lies below it is told by its path."""
    folder = file.absolute().parent
    return folder.resolve() if ".." in folder.parts else folder


def _hash(value: FmfConfig) -> str:
    # Not orjson: a setting may be a whole number beyond 64 bits.
    canonical = json.dumps(masked(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
