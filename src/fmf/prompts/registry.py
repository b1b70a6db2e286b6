"""Prompts by reference: finds them, proves that registered ones are unchanged, and registers new ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from fmf.errors import PromptError
from fmf.prompts.checks import TestOutcome, TokenCounter, check_names, run_tests
from fmf.prompts.compare import unified_diff
from fmf.prompts.file import load_prompt_file
from fmf.prompts.index import Addition, Index, IndexEntry, IndexVersion, PromptIndex, YamlIndex
from fmf.prompts.prompt import INLINE, Prompt, build_prompt, content_hash, inline_prompt
from fmf.prompts.store import PromptStore
from fmf_core.errors import Code
from fmf_core.logs import get_logger
from fmf_core.nearest import known_hint
from generative_ai_workflow.prompt_file import SUFFIXES, PromptFile, PromptVersion

if TYPE_CHECKING:
    from fmf.config.models import PromptRegistryConfig

log = get_logger("fmf.prompts")
_FORMS = "a reference is id#version, path.yaml#version or 'inline: text'"

State = Literal["registered", "changed", "unregistered", "missing"]


@dataclass(frozen=True, slots=True)
class PromptListing:
    """One line of `fmf prompt ls`."""

    id: str
    version: str
    state: State
    """`changed`: the text no longer has the registered hash; `missing`: registered, and its text is nowhere."""
    content_hash: str
    """Of the text as it is now; for a missing version the registered one."""
    path: str


@dataclass(frozen=True, slots=True)
class Registration:
    """What `register` did."""

    prompt: Prompt
    tests: tuple[TestOutcome, ...]
    added: bool
    """`False` when the same text was registered before."""


@dataclass(frozen=True, slots=True)
class _Found:
    prompt: Prompt
    declared: PromptVersion
    path: Path


class PromptRegistry:
    """The prompts of one project: files under a folder, and an index of those that were registered.

    Args:
        root: the folder of the configuration file; references with a path start here.
        folder: the folder of prompts, searched for ids and as the second place for paths.
        index: where registrations are kept.
        count_tokens: counts for the `max_tokens` assertion of declared tests.
    """

    def __init__(self, root: Path, folder: Path, index: Index, *, count_tokens: TokenCounter | None = None) -> None:
        self._registered = index
        self._store = PromptStore(root, folder, skip=index.path)
        self._count_tokens = count_tokens

    @classmethod
    def from_config(cls, config: PromptRegistryConfig, root: Path, *, count_tokens: TokenCounter | None = None) -> Self:
        """The registry that `prompt_registry` of `fmf.yaml` describes; its paths count from `root`."""
        root = root.resolve()
        path = root / config.index_file
        return cls(root, root / config.path, _index_of(config.backend, path), count_tokens=count_tokens)

    def resolve(self, ref: str) -> Prompt:
        """The prompt that a chain or a command names.

        Args:
            ref: `id#version`, `path.yaml#version` (from the configuration's folder, else from the folder of prompts) or
                `inline: text`.

        Raises:
            PromptError: there is no such prompt or version, its file is malformed, or it was registered with another
                text; then both hashes are named.
        """
        prompt = self.read(ref)
        if not prompt.version:
            return prompt
        registered = self._index().hash_of(prompt.id, prompt.version)
        if registered is None:
            log.info("prompt.unregistered", prompt=prompt.ref, path=str(prompt.path), content_hash=prompt.content_hash)
        elif registered != prompt.content_hash:
            raise _changed(prompt, registered)
        return prompt

    def read(self, ref: str) -> Prompt:
        """The prompt as its file has it now, also when it was registered with another text.

        Raises:
            PromptError: as for `resolve`, but for the change.
        """
        if _is_inline(ref):
            return inline_prompt(ref.partition(":")[2])
        return self._find(ref).prompt

    def state_of(self, prompt: Prompt) -> State:
        """Whether a prompt is registered as it is, registered with another text, or not registered."""
        registered = self._index().hash_of(prompt.id, prompt.version)
        return _state(registered, prompt.content_hash)

    def list(self) -> tuple[PromptListing, ...]:
        """Every version in the folder of prompts and in the index, sorted by id and place in its file.

        A file in the folder that is no prompt file is named in a warning and left out.
        """
        index = self._index()
        files = dict(self._store.files())
        for entry in index.prompts:
            path = self._store.existing(entry.path)
            if path is not None and path not in files:
                files[path] = load_prompt_file(path)
        lines = [line for path, file in files.items() for line in self._listed(file, path, index)]
        present = {(line.id, line.version) for line in lines}
        lines += [
            self._listed_without_file(entry, item)
            for entry in index.prompts
            for item in entry.versions
            if (entry.id, item.version) not in present
        ]
        return tuple(sorted(lines, key=lambda line: line.id))

    def test(self, ref: str) -> tuple[TestOutcome, ...]:
        """Run the declared tests of one version, after checking the names in its template; inline prompts have none.

        Raises:
            PromptError: there is no such prompt, or its template uses a name that is not listed.
        """
        if _is_inline(ref):
            return ()
        found = self._find(ref)
        check_names(found.prompt)
        return run_tests(found.prompt, found.declared, self._count_tokens)

    def diff(self, old: str, new: str) -> str:
        """A unified diff of system text, template and examples of two references; empty when there is none."""
        return unified_diff(self.read(old), self.read(new))

    def register(self, ref: str) -> Registration:
        """Test a version and add it to the index; nothing is written when a test fails.

        Raises:
            PromptError: a declared test fails, the template uses a name that is not listed, or the version was
                registered with another text or from another file.
        """
        found = self._find(ref)
        prompt = found.prompt
        tests = self.test(ref)
        failed = [f"{outcome.name!r} {failure}" for outcome in tests for failure in outcome.failures]
        if failed:
            raise PromptError(
                f"prompt {prompt.ref!r} was not registered: {sum(not t.passed for t in tests)} of {len(tests)} tests "
                f"failed: {'; '.join(failed)}",
                op="prompts.register",
                hint="correct the template or the test; the index is unchanged",
                fields={"failures": failed},
            )
        path = self._store.relative(found.path)
        new = Addition(prompt.id, path, prompt.content_hash, found.declared)
        added = self._registered.add(new, lambda index: self._is_new(found, index))
        return Registration(prompt, tests, added=added)

    def _is_new(self, found: _Found, index: PromptIndex) -> bool:
        """Whether a version is not in the index yet; raises where something else is there in its name."""
        prompt, path = found.prompt, self._store.relative(found.path)
        entry = index.entry(prompt.id)
        before = self._store.existing(entry.path) if entry else None
        if entry and before and before.resolve() != found.path.resolve():
            raise PromptError(
                f"prompt {prompt.id!r} of {path!r} is registered from {entry.path!r}",
                op="prompts.register",
                code=Code.CONFLICT,
                hint="put all versions of an id into one file, or give this prompt another id",
            )
        registered = index.hash_of(prompt.id, prompt.version)
        if registered is not None and registered != prompt.content_hash:
            raise _changed(prompt, registered)
        return registered is None

    def _find(self, ref: str) -> _Found:
        name, mark, version = ref.strip().rpartition("#")
        if not mark:
            name, version = ref.strip(), ""
        if not name:
            raise PromptError(f"prompt reference {ref!r} names no prompt", op="prompts.resolve", hint=_FORMS)
        if name.endswith(SUFFIXES):
            return self._in_file(self._store.locate(name), name, version, ref)
        try:
            return self._in_file(self._path_of(name), name, version, ref)
        except PromptError as error:
            kept = self._registered.text_of(name, version) if error.code is Code.NOT_FOUND else None
            if kept is None:
                raise
            return _Found(build_prompt(name, kept, self._registered.path), kept, self._registered.path)

    def _in_file(self, path: Path, name: str, version: str, ref: str) -> _Found:
        file = load_prompt_file(path)
        declared = next((item for item in file.versions if item.version == version), None)
        if declared is None:
            versions = ", ".join(file.version_names())
            wrong = f"there is no version {version!r} of prompt {name!r}" if version else f"{ref!r} names no version"
            raise PromptError(
                f"{wrong}; versions in {self._store.relative(path)!r}: {versions}",
                op="prompts.resolve",
                code=Code.NOT_FOUND,
                hint=f"write {name}#{file.version_names()[-1]}",
                fields={"versions": file.version_names()},
            )
        return _Found(build_prompt(file.id, declared, path), declared, path)

    def _path_of(self, prompt_id: str) -> Path:
        entry = self._index().entry(prompt_id)
        if entry and (path := self._store.existing(entry.path)) is not None:
            return path
        files = list(self._store.files())
        found = [path for path, file in files if file.id == prompt_id]
        if len(found) > 1:
            raise PromptError(
                f"prompt {prompt_id!r} stands in several files: {', '.join(map(self._store.relative, found))}",
                op="prompts.resolve",
                code=Code.CONFLICT,
                hint="give each prompt an id of its own, or name the file: path.yaml#version",
            )
        if found:
            return found[0]
        if entry:
            raise PromptError(
                f"prompt {prompt_id!r} is registered, but its file {entry.path!r} is gone",
                op="prompts.resolve",
                code=Code.NOT_FOUND,
                hint="restore the file, or correct its path in the index; registered: "
                + ", ".join(item.version for item in entry.versions),
            )
        raise self._unknown(prompt_id, sorted({file.id for _, file in files}))

    def _unknown(self, prompt_id: str, known: Sequence[str]) -> PromptError:
        unreadable = ", ".join(map(self._store.relative, self._store.unreadable))
        broken = f"{unreadable} cannot be read: name it as path.yaml#version to see why. " if unreadable else ""
        return PromptError(
            f"there is no prompt {prompt_id!r} in {self._store.relative(self._store.folder)!r}",
            op="prompts.resolve",
            code=Code.NOT_FOUND,
            hint=f"{known_hint(prompt_id, known)}. {broken}{_FORMS}",
        )

    def _index(self) -> PromptIndex:
        return self._registered.read()

    def _listed_without_file(self, entry: IndexEntry, item: IndexVersion) -> PromptListing:
        kept = self._registered.text_of(entry.id, item.version)
        if kept is None:
            return PromptListing(entry.id, item.version, "missing", item.content_hash, entry.path)
        now = content_hash(kept)
        path = self._store.relative(self._registered.path)
        return PromptListing(entry.id, item.version, _state(item.content_hash, now), now, path)

    def _listed(self, file: PromptFile, path: Path, index: PromptIndex) -> Iterator[PromptListing]:
        for version in file.versions:
            digest = content_hash(version)
            registered = index.hash_of(file.id, version.version)
            state = _state(registered, digest)
            yield PromptListing(file.id, version.version, state, digest, self._store.relative(path))


def _is_inline(ref: str) -> bool:
    kind, colon, _ = ref.partition(":")
    return bool(colon) and kind.strip() == INLINE


def _index_of(backend: str, path: Path) -> Index:
    if backend == "sqlite":
        from fmf.prompts.sqlite_index import SqliteIndex

        return SqliteIndex(path)
    return YamlIndex(path)


def _state(registered: str | None, now: str) -> State:
    if registered is None:
        return "unregistered"
    return "registered" if registered == now else "changed"


def _changed(prompt: Prompt, registered: str) -> PromptError:
    return PromptError(
        f"prompt {prompt.ref!r} has changed since it was registered: "
        f"registered {registered}, now {prompt.content_hash}",
        op="prompts.resolve",
        code=Code.CONFLICT,
        hint="give the new text a new version and register it, or restore the registered text",
        fields={"registered_hash": registered, "content_hash": prompt.content_hash},
    )
