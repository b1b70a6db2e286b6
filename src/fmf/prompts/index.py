"""The index of registered prompts: which version has which hash."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import Field, field_validator

from fmf.errors import ConfigError, PromptError
from fmf_core.errors import Code
from fmf_core.value import Value
from generative_ai_workflow.prompt_file import PromptVersion

_HEADER = "# Written by `fmf prompt register`. A version whose text no longer has its hash is refused.\n"


class IndexVersion(Value):
    """One registered version."""

    version: str
    content_hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class IndexEntry(Value):
    """One registered prompt."""

    id: str
    path: str
    """The prompt file, relative to the configuration's folder or to the folder of prompts, with `/`."""
    versions: tuple[IndexVersion, ...] = ()

    def hash_of(self, version: str) -> str | None:
        """The registered hash; `None` when that version is not registered."""
        return next((item.content_hash for item in self.versions if item.version == version), None)


class PromptIndex(Value):
    """All registered prompts."""

    prompts: tuple[IndexEntry, ...] = ()

    @field_validator("prompts")
    @classmethod
    def _each_once(cls, prompts: tuple[IndexEntry, ...]) -> tuple[IndexEntry, ...]:
        ids = [entry.id for entry in prompts]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"prompt {', '.join(twice)} stands here more than once")
        return prompts

    def entry(self, prompt_id: str) -> IndexEntry | None:
        """What is registered for one id."""
        return next((entry for entry in self.prompts if entry.id == prompt_id), None)

    def hash_of(self, prompt_id: str, version: str) -> str | None:
        """The registered hash of `id#version`; `None` when it is not registered."""
        entry = self.entry(prompt_id)
        return entry.hash_of(version) if entry else None

    def adding(self, prompt_id: str, path: str, version: IndexVersion) -> PromptIndex:
        """This index with one more version, prompts sorted by id."""
        entry = self.entry(prompt_id)
        versions = (*entry.versions, version) if entry else (version,)
        others = [item for item in self.prompts if item.id != prompt_id]
        added = IndexEntry(id=prompt_id, path=path, versions=versions)
        return PromptIndex(prompts=tuple(sorted([*others, added], key=lambda item: item.id)))


class Addition(NamedTuple):
    """A version on its way into an index."""

    prompt_id: str
    path: str
    """The prompt file, as `IndexEntry.path` has it."""
    content_hash: str
    declared: PromptVersion


Check = Callable[[PromptIndex], bool]
"""Says of the index as it is whether something is to be added; raises what speaks against it."""


class Index(Protocol):
    """Where registrations are kept; reading never writes."""

    path: Path
    """The file."""

    def read(self) -> PromptIndex:
        """Everything that is registered; an absent file is an empty index.

        Raises:
            PromptError: the file is no index, or cannot be read.
        """
        ...

    def text_of(self, prompt_id: str, version: str) -> PromptVersion | None:
        """A registered version as it was registered; `None` where it is not, or where only hashes are kept."""
        ...

    def add(self, new: Addition, check: Check) -> bool:
        """Add a version if `check` wants it, as one change that no other process can come between.

        Returns:
            Whether it was added.

        Raises:
            PromptError: the file cannot be written, or what `check` raised.
        """
        ...


class YamlIndex:
    """The index as a file of YAML that people read and version control merges; it keeps hashes, and no texts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> PromptIndex:
        """Everything that is registered; raises as `read_index`."""
        return read_index(self.path)

    def text_of(self, prompt_id: str, version: str) -> PromptVersion | None:  # noqa: ARG002 - the signature of `Index`
        """Nothing: the texts stand in the prompt files alone."""
        return None

    def add(self, new: Addition, check: Check) -> bool:
        """Add a version if `check` wants it; raises as `write_index`, or what `check` raised."""
        with locked(self.path):
            index = self.read()
            wanted = check(index)
            if wanted:
                version = IndexVersion(version=new.declared.version, content_hash=new.content_hash)
                write_index(self.path, index.adding(new.prompt_id, new.path, version))
            return wanted


def read_index(path: Path) -> PromptIndex:
    """The index in a file; an absent or empty file is an empty index.

    Raises:
        PromptError: the file is no index; every fault is named with its line and column.
    """
    from fmf_core.settings import validate
    from fmf_core.yaml_text import load_yaml_file

    if not path.exists():
        return PromptIndex()
    try:
        yaml = load_yaml_file(path)
        return validate(PromptIndex, yaml.data or {}, source=str(path), yaml=yaml)
    except ConfigError as error:
        raise PromptError(
            error.message, op="prompts.index", code=error.code, hint=error.hint, fields=error.fields
        ) from error


def write_index(path: Path, index: PromptIndex) -> None:
    """Replace the file as a whole, so that no reader ever sees a half-written index.

    Raises:
        PromptError: the folder cannot be written.
    """
    import yaml

    body = yaml.safe_dump(index.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=1000)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(_HEADER + body)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise PromptError(
            f"the prompt index {str(path)!r} could not be written: {error}",
            op="prompts.register",
            code=Code.UNAVAILABLE,
            hint="see that the folder can be written",
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the index for reading and writing; another process that wants it waits.

    The lock lies on the folder, so that it leaves no file behind. Where the system has no such lock, writing is still
    atomic, but the later of two simultaneous registrations wins.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise PromptError(
            f"the folder of the prompt index {str(path)!r} could not be opened: {error}",
            op="prompts.register",
            code=Code.UNAVAILABLE,
            hint="set prompt_registry.index_file to a place that can be written",
        ) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
