"""Layered settings: defaults, file, profile, environment and `--set`, validated as a whole, every fault at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from fmf_core.faults import Fault, Locate, Place, SettingsError, faults_of
from fmf_core.layers import Layers, defaults_below, from_environment, from_sets, place_in
from fmf_core.nearest import nearest
from fmf_core.shapes import key_of
from fmf_core.yaml_text import KeyPath, Yaml, load_yaml, load_yaml_file, path_text

M = TypeVar("M", bound=BaseModel)
RUN_NAMES = ("run_id", "chain_id", "date", "now")
"""References that a run fills in, not the environment."""
NO_PROFILE = "default"
"""The name of the profile that needs no entry under `profiles`."""


@dataclass(frozen=True, slots=True)
class Layered(Generic[M]):
    """Settings that are valid as a whole, and where each of them came from."""

    value: M
    """The settings."""
    origins: dict[str, str] = field(default_factory=dict)
    """Key path to origin: `default`, `fmf.yaml:3:5`, `profile P in fmf.yaml:4:3`, `environment NAME`, `--set KEY`."""
    profile: str = NO_PROFILE
    """The active profile."""
    data: dict[str, Any] = field(default_factory=dict)
    """What was given, merged, without defaults."""


def validate(model: type[M], data: Any, *, source: str, yaml: Yaml | None = None) -> M:
    """Make a `model` of `data`, or report everything that is wrong with it.

    Args:
        model: the pydantic model.
        data: what a file or a caller gave; `None`, an empty file, is an empty mapping.
        source: what messages call it.
        yaml: the text it came from, for lines and columns.

    Raises:
        SettingsError: with one fault for each mistake.
    """

    def locate(path: KeyPath, *, key: bool = False) -> Place:
        return place_in(yaml, path, key=key) if yaml is not None else Place(source)

    value, faults = _checked(model, {} if data is None else data, locate)
    if value is None:
        raise SettingsError.of(faults)
    return value


def layered(
    model: type[M],
    *,
    file: str | Path | None = None,
    profile: str | None = None,
    env_prefix: str = "FMF_",
    environ: Mapping[str, str] | None = None,
    sets: Sequence[str] = (),
    reserved: Collection[str] = RUN_NAMES,
) -> Layered[M]:
    """Read settings from all their places; later ones win: defaults, file, active profile, environment, `--set`.

    The environment's names are `PREFIX_A__B`, list items by index (`PREFIX_CONNECTORS__0__ROOT`), in any case; an index
    one past the end appends. Other values in a mapping or list that is changed inside stay as they are. A value from
    the environment or `sets` is read as YAML, unless text is wanted there: then it is taken as it stands, except
    `null` and `~` where there may be nothing. Then `${NAME}` and `${NAME:-default}` in texts are filled in from the
    environment, once; `$${NAME}` stays `${NAME}`.

    Args:
        model: the pydantic model; its fields `profiles` and `run_profile`, if it has them, make profiles work.
        file: a YAML file; `None` when there is none.
        profile: the name of the active profile; else `PREFIX_PROFILE`, else `run_profile`.
        env_prefix: what names of the environment begin with.
        environ: the environment's variables.
        sets: `key.path=value`, each.
        reserved: names that `${...}` leaves alone.

    Raises:
        ConfigurationError: the file is missing or is no YAML.
        SettingsError: with every fault of every layer.
    """
    variables = environ if environ is not None else {}
    prefix = f"{env_prefix.rstrip('_')}_"
    yaml = load_yaml_file(file) if file is not None else load_yaml("", source="the defaults")
    given = {} if yaml.data is None else yaml.data
    if not isinstance(given, dict):
        return Layered(validate(model, given, source=yaml.source, yaml=yaml))
    base = Layers(model)
    base.merge(defaults_below(model), lambda _: Place("default"))
    base.merge(given, lambda path: place_in(yaml, path))
    active = profile or variables.get(f"{prefix}PROFILE") or _chosen_profile(base, prefix, variables, sets)
    asked = "--profile" if profile else f"environment {prefix}PROFILE" if variables.get(f"{prefix}PROFILE") else ""
    _merge_profile(base, given, active, yaml, asked)
    from_environment(base, prefix, variables)
    from_sets(base, list(sets))
    base.substitute(variables, frozenset(reserved), frozenset({"profiles"}))

    def locate(path: KeyPath, *, key: bool = False) -> Place:
        place = base.place(path)
        if place.source in ("", "default", yaml.source):
            return place_in(yaml, path, key=key)
        return place

    value, faults = _checked(model, base.data, locate)
    known = {fault.path for fault in base.faults}
    faults = [*base.faults, *(fault for fault in faults if fault.path not in known)]
    if value is None or faults:
        raise SettingsError.of(faults)
    return Layered(value, _origins(value, base), active, base.data)


def _checked(model: type[M], data: Any, locate: Locate) -> tuple[M | None, list[Fault]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        # The error itself stays here: it quotes values, and some of them are secrets.
        return None, faults_of(error, model, data, locate)


def _chosen_profile(base: Layers, prefix: str, environ: Mapping[str, str], sets: Sequence[str]) -> str:
    """The profile that the settings themselves name, before any profile is laid over them."""
    if "run_profile" not in base.model.model_fields:
        return NO_PROFILE
    early = Layers(base.model, {key: value for key, value in base.data.items() if key == "run_profile"})
    from_environment(early, prefix, {name: text for name, text in environ.items() if name == f"{prefix}RUN_PROFILE"})
    from_sets(early, [text for text in sets if text.partition("=")[0].strip() == "run_profile"])
    early.substitute(environ, frozenset(), frozenset())
    found = early.data.get("run_profile", base.model.model_fields["run_profile"].get_default())
    return found if isinstance(found, str) and found else NO_PROFILE


def _merge_profile(base: Layers, given: Mapping[str, Any], active: str, yaml: Yaml, asked: str) -> None:
    """Lay the active profile over what the file says; `asked` is where its name comes from, if not from the file."""
    profiles = given.get("profiles") or {}
    if not isinstance(profiles, dict) or "profiles" not in base.model.model_fields:
        return
    if active not in profiles:
        if active != NO_PROFILE:
            known = (NO_PROFILE, *(name for name in profiles if name != NO_PROFILE))
            path: KeyPath = ("run_profile",)
            place = Place(asked) if asked else place_in(yaml, path)
            message, near = f"there is no profile {active!r} in {yaml.source}", nearest(active, known)
            where = () if asked else path
            base.faults.append(Fault.at(place, where, message, value=active, allowed=known, near=near))
        return
    overlay = profiles[active] or {}
    if not isinstance(overlay, dict):
        return
    for key in ("profiles", "run_profile"):
        if key in overlay:
            path = ("profiles", active, key)
            base.faults.append(Fault.at(place_in(yaml, path, key=True), path, "a profile cannot choose profiles"))
    overlay = {key: value for key, value in overlay.items() if key not in ("profiles", "run_profile")}

    def locate(path: KeyPath) -> Place:
        place = place_in(yaml, ("profiles", active, *path))
        return Place(f"profile {active} in {place.source}", place.line, place.column)

    base.merge(overlay, locate)


def _origins(value: BaseModel, base: Layers) -> dict[str, str]:
    """Every leaf of the settings and where it came from."""
    return {path_text(path): _origin(base, path) for path in _leaves(value, ())}


def _origin(base: Layers, path: KeyPath) -> str:
    place = base.place(path)
    given = path in base.origins or (place.source and _found(base.data, path))
    return str(place) if given else "default"


def _found(data: Any, path: KeyPath) -> bool:
    for part in path:
        inside = isinstance(data, dict) and part in data
        if not inside and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            return False
        data = data[part]
    return True


def _leaves(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _leaves(getattr(value, name), (*path, key_of(name, info)))
        yield from (found for key, item in (value.model_extra or {}).items() for found in _leaves(item, (*path, key)))
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path
