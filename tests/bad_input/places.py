"""Folders whose files have hostile names, lead elsewhere, are no files, or change while they are read."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bad_input.case import Expected, fails, ok
from bad_input.trial import LIMITS, reader_of, told
from fmf.config.models import ProcessingConfig
from fmf.connectors.local import LINK_FOLDER, LINK_NOWHERE, LINK_OUTSIDE, NO_FILE, UNREADABLE, LocalConnector
from fmf.types import ResourceRef


def _reads_everything() -> bool:
    """Whether files are read here that nobody may read, as by root."""
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.chmod(0)
        return os.access(path, os.R_OK)


READS_EVERYTHING = _reads_everything()
SECRET = "the secret outside"


@dataclass(frozen=True)
class Place:
    """A folder, and what is to become of it."""

    name: str
    build: Callable[[Path], object]
    """Fills the folder `root` inside the folder that it is given."""
    expected: Mapping[str, Expected]
    """What is listed, by id, and how each must end."""
    notices: frozenset[str] = frozenset()
    """What the connector must say that it left out."""
    meanwhile: Callable[[Path], object] | None = None
    """What happens between the listing and the reading."""
    during: Callable[[Path], object] | None = None
    """What happens once the file is open and its first bytes were read."""
    include: tuple[str, ...] = ("**/*",)


@dataclass
class Seen:
    """What became of a folder."""

    outcomes: dict[str, object] = field(default_factory=dict)
    notices: frozenset[str] = frozenset()


def seen(place: Place, folder: Path) -> Seen:
    """Build the folder, list it, read what is listed."""
    root = folder / "root"
    root.mkdir()
    (folder / "outside.txt").write_text(SECRET)
    place.build(root)
    connector = _Disturbed("local", root, place.include)
    refs = list(connector.list())
    if place.meanwhile:
        place.meanwhile(root)
    connector.during = place.during
    reader = reader_of(connector, ProcessingConfig(limits=LIMITS))
    outcomes: dict[str, object] = {ref.id: told(reader.lines(ref)) for ref in refs}
    return Seen(outcomes, frozenset(connector.notices))


class _Disturbed(LocalConnector):
    """The local connector, with somebody at work on its folder."""

    during: Callable[[Path], object] | None = None

    def open(self, ref: ResourceRef) -> BinaryIO:
        stream = super().open(ref)
        if self.during:
            stream.read(1)
            self.during(self.root)
            stream.seek(0)
        return stream


def _file(path: Path, text: str = "plum") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _raw(root: Path, name: bytes, data: bytes = b"plum") -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(data)


def _links(root: Path) -> None:
    _file(root / "a.txt")
    (root / "loop-1.txt").symlink_to("loop-2.txt")
    (root / "loop-2.txt").symlink_to("loop-1.txt")
    (root / "self.txt").symlink_to("self.txt")
    (root / "nowhere.txt").symlink_to("missing.txt")
    (root / "out.txt").symlink_to("../outside.txt")
    (root / "passwd.txt").symlink_to("/etc/passwd")
    (root / "up").symlink_to("..")
    (root / "round").symlink_to(".")
    (root / "inside.txt").symlink_to("a.txt")
    (root / "hop.txt").symlink_to("round/up/outside.txt")


def _names(root: Path) -> Iterator[bytes]:
    names = [
        b"line\nend.txt",
        b"tab\tand\rreturn.txt",
        b"\x1b[31mred.txt",
        b"bytes\xff\xfe.txt",
        b"-rf.txt",
        b" .txt",
        b"...txt",
        b"$(id);`id`.txt",
        b"%2e%2e%2fetc.txt",
        b"\\x41.txt",
        b"a:b|c?d*.txt",
        b"[x]{y}.txt",
        "\u202etxt.exe.txt".encode(),
        "cafe\u0301.txt".encode(),
        "caf\u00e9.txt".encode(),
        b"Case.txt",
        b"case.txt",
        b"x" * 251 + b".txt",
        b"'; DROP.txt",
    ]
    for name in names:
        _raw(root, name)
        yield name


LISTED = (
    r"line\x0aend.txt",
    r"tab\x09and\x0dreturn.txt",
    r"\x1b[31mred.txt",
    r"bytes\xff\xfe.txt",
    "-rf.txt",
    " .txt",
    "$(id);`id`.txt",
    "%2e%2e%2fetc.txt",
    r"\x5cx41.txt",
    "a:b|c?d*.txt",
    "[x]{y}.txt",
    "\u202etxt.exe.txt",
    "cafe\u0301.txt",
    "caf\u00e9.txt",
    "Case.txt",
    "case.txt",
    "x" * 251 + ".txt",
    "'; DROP.txt",
)
"""The ids of those names; `...txt` is hidden."""


def _no_files(root: Path) -> None:
    _file(root / "a.txt")
    os.mkfifo(root / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as end:
        here = Path.cwd()
        os.chdir(root)  # the name of a socket may be 107 bytes long
        try:
            end.bind("socket.txt")
        finally:
            os.chdir(here)
    if READS_EVERYTHING:
        with suppress(OSError):
            os.mknod(root / "zero.txt", 0o600 | stat.S_IFCHR, os.makedev(1, 5))


def _deep(root: Path) -> None:
    folder = root
    for _ in range(120):
        folder /= "d"
    _file(folder / "a.txt")


def _shut(root: Path) -> None:
    _file(root / "a.txt")
    _file(root / "shut" / "b.txt")
    _file(root / "locked.txt")
    (root / "locked.txt").chmod(0)
    (root / "shut").chmod(0)


def _swap(root: Path) -> None:
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to("../outside.txt")


def _swap_folder(root: Path) -> None:
    (root / "d" / "outside.txt").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to("..")


def _to_pipe(root: Path) -> None:
    (root / "a.txt").unlink()
    os.mkfifo(root / "a.txt")


def _large(root: Path) -> None:
    _file(root / "a.txt", "plums and pears " * 400_000)


def _append(root: Path) -> None:
    with (root / "a.txt").open("a") as out:
        out.write("more " * 1_000_000)


def _cut(root: Path) -> None:
    with (root / "a.txt").open("r+") as out:
        out.truncate(1_500_000)


def _sparse(root: Path) -> None:
    with (root / "a.txt").open("wb") as out:
        out.truncate(1 << 30)


OPEN_TO_ROOT = ok("plum")
PLACES = (
    Place(
        "links in circles, to nowhere, to folders and out of the root",
        _links,
        {"a.txt": ok("plum"), "inside.txt": ok("plum")},
        frozenset({LINK_OUTSIDE, LINK_NOWHERE, LINK_FOLDER}),
    ),
    Place("names for attackers", lambda root: list(_names(root)), {name: ok("plum") for name in LISTED}),
    Place("pipes, sockets and devices", _no_files, {"a.txt": ok("plum")}, frozenset({NO_FILE})),
    Place("a folder 120 deep", _deep, {"d/" * 120 + "a.txt": ok("plum")}),
    Place(
        "what may not be read",
        _shut,
        {"a.txt": ok("plum"), "locked.txt": ok("plum"), "shut/b.txt": ok("plum")}
        if READS_EVERYTHING
        else {"a.txt": ok("plum"), "locked.txt": fails("locked.txt", "ermission")},
        frozenset() if READS_EVERYTHING else frozenset({UNREADABLE}),
    ),
    Place(
        "a file that vanishes",
        lambda root: _file(root / "a.txt"),
        {"a.txt": fails("a.txt")},
        meanwhile=lambda root: (root / "a.txt").unlink(),
    ),
    Place(
        "a file that becomes a link out of the root",
        lambda root: _file(root / "a.txt"),
        {"a.txt": fails("a.txt", lacks=(SECRET,))},
        meanwhile=_swap,
    ),
    Place(
        "a folder that becomes a link out of the root",
        lambda root: _file(root / "d" / "outside.txt"),
        {"d/outside.txt": fails("d/outside.txt", lacks=(SECRET,))},
        meanwhile=_swap_folder,
    ),
    Place(
        "a file that becomes a pipe", lambda root: _file(root / "a.txt"), {"a.txt": fails("a.txt")}, meanwhile=_to_pipe
    ),
    Place("a file that grows before it is read", _large, {"a.txt": ok("plums and pears")}, meanwhile=_append),
    Place("a file of 1 GB that holds nothing", _sparse, {"a.txt": fails("a.txt", "MB")}),
    Place(
        "a hard link out of the root",
        lambda root: os.link(root.parent / "outside.txt", root / "a.txt"),
        {"a.txt": ok(SECRET)},
    ),
    Place("a template that names a file", lambda root: _file(root / "${HOME}.txt"), {"${HOME}.txt": ok("plum")}),
    Place(
        "hidden files",
        lambda root: (_file(root / ".env.txt"), _file(root / ".git" / "a.txt"), _file(root / "a.txt")),
        {"a.txt": ok("plum")},
    ),
    Place(
        "a pattern that one of 2,000 files matches",
        lambda root: ([(root / f"{n}.txt").touch() for n in range(2_000)], _file(root / "plum.txt")),
        {"plum.txt": ok("plum")},
        include=("plum*",),
    ),
    Place("a file that is open for writing and shrinks", _large, {"a.txt": ok("plums and pears")}, during=_cut),
)
