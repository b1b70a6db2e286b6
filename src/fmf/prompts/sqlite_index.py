"""The index of registered prompts as a SQLite file, which keeps the texts beside their hashes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from fmf.errors import PromptError
from fmf.prompts.index import Addition, Check, IndexEntry, IndexVersion, PromptIndex
from fmf_core.errors import Code
from fmf_core.sqlite_file import SAFE, Layout, SqliteFile, SqliteFileError
from generative_ai_workflow.prompt_file import PromptVersion

if TYPE_CHECKING:
    from sqlite3 import Connection

_BUSY_S: Final = 10.0
_PROMPTS: Final = "CREATE TABLE IF NOT EXISTS prompts (id TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID"
_VERSIONS: Final = """
CREATE TABLE IF NOT EXISTS versions
(number INTEGER PRIMARY KEY, id TEXT NOT NULL, version TEXT NOT NULL, content_hash TEXT NOT NULL,
declared TEXT NOT NULL, registered_at TEXT NOT NULL, UNIQUE (id, version))
"""
_LAYOUT: Final = Layout(0x666D6670, 1, (_PROMPTS, _VERSIONS), SAFE)
_ALL: Final = "SELECT id, path, version, content_hash FROM versions JOIN prompts USING (id) ORDER BY id, number"
_TEXT: Final = "SELECT declared FROM versions WHERE id = ? AND version = ?"
_ADD_PROMPT: Final = "INSERT INTO prompts (id, path) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET path = excluded.path"
_ADD_VERSION: Final = "INSERT INTO versions (id, version, content_hash, declared, registered_at) VALUES (?, ?, ?, ?, ?)"


class SqliteIndex:
    """The index as one file that several programs may write to at the same time; only its owner may read it.

    A registered version stays usable where its prompt file is not at hand. The file is opened for each use and closed
    again, so that nothing lies beside it; reading an absent one makes none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> PromptIndex:
        """Everything that is registered; an absent file is an empty index.

        Raises:
            PromptError: the file is none of ours, damaged, or cannot be read.
        """
        if self._is_absent():
            return PromptIndex()
        with self._reading() as connection:
            return self._read(connection)

    def text_of(self, prompt_id: str, version: str) -> PromptVersion | None:
        """A registered version as it was registered; `None` when it is not.

        Raises:
            PromptError: the file cannot be read, or what it holds is no version.
        """
        if self._is_absent():
            return None
        with self._reading() as connection:
            found = connection.execute(_TEXT, (prompt_id, version)).fetchone()
            if found is None:
                return None
            with self._sound():
                return PromptVersion.model_validate(json.loads(found[0]))

    def add(self, new: Addition, check: Check) -> bool:
        """Add a version if `check` wants it.

        Raises:
            PromptError: the file cannot be written, or what `check` raised.
        """
        with self._opened("prompts.register", self._file(read_only=False)) as file:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with file.transaction() as connection:
                wanted = check(self._read(connection))
                if wanted:
                    declared = json.dumps(new.declared.model_dump(exclude_defaults=True))
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    connection.execute(_ADD_PROMPT, (new.prompt_id, new.path))
                    row = (new.prompt_id, new.declared.version, new.content_hash, declared, now)
                    connection.execute(_ADD_VERSION, row)
                return wanted

    def _read(self, connection: Connection) -> PromptIndex:
        paths: dict[str, str] = {}
        versions: dict[str, list[IndexVersion]] = {}
        with self._sound():
            for prompt_id, path, version, content_hash in connection.execute(_ALL):
                paths[prompt_id] = path
                item = IndexVersion(version=version, content_hash=content_hash)
                versions.setdefault(prompt_id, []).append(item)
            entries = [IndexEntry(id=name, path=path, versions=tuple(versions[name])) for name, path in paths.items()]
        return PromptIndex(prompts=tuple(entries))

    def _is_absent(self) -> bool:
        # An empty one is what is left of a registration that was broken off at its very beginning.
        return not self.path.exists() or (self.path.is_file() and self.path.stat().st_size == 0)

    def _file(self, *, read_only: bool) -> SqliteFile:
        return SqliteFile(self.path, _LAYOUT, _BUSY_S, read_only=read_only)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        # Only a connection that may write takes away the files that SQLite keeps beside the database.
        may_write = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        with (
            self._opened("prompts.index", self._file(read_only=not may_write)) as file,
            file.statements() as connection,
        ):
            yield connection

    @contextmanager
    def _opened(self, op: str, file: SqliteFile) -> Iterator[SqliteFile]:
        try:
            yield file
        except (SqliteFileError, OSError) as error:
            reason = error.message if isinstance(error, SqliteFileError) else f"{error.strerror or error}"
            code = error.code if isinstance(error, SqliteFileError) else Code.UNAVAILABLE
            hint = error.hint if isinstance(error, SqliteFileError) else ""
            raise PromptError(
                f"the prompt index {str(self.path)!r} cannot be used: {reason}",
                op=op,
                code=code,
                hint=hint or "set prompt_registry.index_file to a place that can be written",
            ) from error
        finally:
            file.close()

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # pydantic's and json's are of this kind
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise PromptError(
                f"the prompt index {str(self.path)!r} is damaged: {reason}",
                op="prompts.index",
                hint="restore it from a copy, or delete it and register the prompts again",
            ) from error
