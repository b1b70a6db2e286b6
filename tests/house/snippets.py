"""Runs the fenced blocks of a Markdown page, top to bottom, in one empty folder, as a reader would.

What a block is depends on its info string:

    ```yaml fmf.yaml          any language and a path: the block is written to that file
    ```python                 run as a script of its own; must end without an error
    ```python output          what the script before it must have printed
    ```console                lines that begin with `$ ` are run; the lines below each are what it must print
    ```text                   only to be looked at

In expected output `...` stands for any text, also over several lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"text", "mermaid", "makefile", ""}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    info: str
    body: str

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of `page`."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        indent = len(found["indent"])
        body = "".join(line[indent:] if line.strip() else "\n" for line in found["body"].splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, found.start()) + 1, found["info"].strip(), body)


class Reader:
    """Does what a page says, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        scripts = Path(sys.executable).parent
        steering = ("FMF_", "GENAI_", "OPENAI_", "AWS_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
        models = {name: os.environ[name] for name in ("FMF_MODEL_DIR",) if name in os.environ}
        path = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
        self.environment = {**kept, **models, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1"}

    def do(self, block: Block) -> str:
        """Do one block; returns what kind it was."""
        language, _, target = block.info.partition(" ")
        if language in SHOWN_ONLY and not target:
            return "shown"
        if language == "python" and target == "output":
            agree(block, block.body, self.printed)
            return "output"
        if target:
            path = self.folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
            return "file"
        if language == "python":
            self.printed = self.run(block, [sys.executable, "-W", "error", "-c", block.body])
            return "python"
        if language == "console":
            for command, expected in commands(block.body):
                agree(block, expected, self.run(block, command))
            return "console"
        raise AssertionError(f"{block.where}: nobody knows how to run a block of {block.info!r}")

    def run(self, block: Block, command: list[str] | str) -> str:
        """Run `command`; a status other than 0 fails unless the command line ends with `# exit N`."""
        wanted = 0
        if isinstance(command, str):
            if found := re.search(r"\s+# exit (\d+)$", command):
                wanted = int(found[1])
                command = command[: found.start()]
            command = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        shown = done.stdout if done.returncode == 0 else done.stdout + done.stderr
        assert done.returncode == wanted, (
            f"{block.where}: exit {done.returncode}\n{command}\n{done.stdout}{done.stderr}"
        )
        return shown


def commands(body: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block with what each must print; a backslash continues a command."""
    body = re.sub(r"\\\n\s*", "", body)
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command.strip(), expected


def agree(block: Block, expected: str, printed: str) -> None:
    """Fail unless `printed` is what the page shows."""
    if not expected.strip():
        return
    pieces = [piece.strip("\n") for piece in expected.strip("\n").split("...")]
    pattern = r"[\s\S]*?".join(re.escape(piece) for piece in pieces)
    clean = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    assert re.fullmatch(pattern, clean), f"{block.where}: the page shows\n{expected}\nbut it printed\n{printed}"
