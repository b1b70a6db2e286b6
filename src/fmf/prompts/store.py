"""The prompt files of a project: where they may lie, and which there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fmf.errors import PromptError
from fmf.prompts.file import load_prompt_file
from fmf_core.errors import Code
from fmf_core.logs import get_logger
from generative_ai_workflow.prompt_file import SUFFIXES, PromptFile

log = get_logger("fmf.prompts")


class PromptStore:
    """Finds prompt files in two folders and nowhere else.

    Args:
        root: the folder of the configuration file, where paths start.
        folder: the folder of prompts: the second start of paths, and the place that is searched.
        skip: a file in `folder` that is no prompt file (the index).
    """

    def __init__(self, root: Path, folder: Path, *, skip: Path) -> None:
        self.root = root
        self.folder = folder
        self._skip = skip
        self.unreadable: list[Path] = []
        """What the last walk through `files` left out."""

    def locate(self, name: str) -> Path:
        """The file of a path in a reference.

        Raises:
            PromptError: the path leaves both folders, or there is no such file.
        """
        for base in (self.root, self.folder):
            path = base / name
            if not self._inside(path):
                raise PromptError(
                    f"prompt file {name!r} lies outside the project",
                    op="prompts.resolve",
                    hint=f"prompt files lie under {str(self.root)!r} or under prompt_registry.path",
                )
            if _is_something(path):
                return path.resolve()
        known = ", ".join(self.relative(path) for path in self._paths()) or "none"
        raise PromptError(
            f"there is no prompt file {name!r}",
            op="prompts.resolve",
            code=Code.NOT_FOUND,
            hint=f"paths count from {str(self.root)!r} or from prompt_registry.path; files there: {known}",
        )

    def existing(self, name: str) -> Path | None:
        """The file of a path in the index; `None` when it is gone or lies outside."""
        paths = (self.root / name, self.folder / name)
        return next((path.resolve() for path in paths if _is_something(path) and self._inside(path)), None)

    def files(self) -> Iterator[tuple[Path, PromptFile]]:
        """Every prompt file in the folder of prompts, hidden ones excepted, sorted by path.

        A broken file is named in a warning and left out: it must not keep the good ones from being used, and whoever
        refers to it by its path gets the whole error.
        """
        self.unreadable = []
        for path in self._paths():
            try:
                yield path.resolve(), load_prompt_file(path)
            except PromptError as error:
                self.unreadable.append(path)
                log.warning("prompt.unreadable", path=str(path), reason=error.message)

    def relative(self, path: Path) -> str:
        """How messages and the index name a file: from the configuration's folder, else from that of prompts."""
        real = path.resolve()
        bases = (base.resolve() for base in (self.root, self.folder))
        return next((real.relative_to(base).as_posix() for base in bases if real.is_relative_to(base)), str(path))

    def _inside(self, path: Path) -> bool:
        real = path.resolve()
        return any(real.is_relative_to(base.resolve()) for base in (self.root, self.folder))

    def _paths(self) -> Iterator[Path]:
        skip = self._skip.resolve()
        for path in sorted(self.folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.folder).parts)
            if path.suffix in SUFFIXES and not hidden and _is_something(path) and path.resolve() != skip:
                yield path


def _is_something(path: Path) -> bool:
    """Whether there is anything but a folder; who reads it says what is wrong with a pipe."""
    return path.exists() and not path.is_dir()
