"""Disks on which a ledger is safe: neither SQLite's log nor locks are sure to work over a network."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from fmf.errors import ConfigError
from fmf_core.errors import Code

MOUNT_TABLE: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    """
    9p afs azurefiles beegfs blobfuse blobfuse2 ceph ceph-fuse cephfs cifs coda curlftpfs davfs gcsfuse glusterfs goofys
    gpfs grpcfuse juicefs lustre mount-s3 mountpoint-s3 ncpfs nfs nfs4 orangefs osxfs prl_fs pvfs2 rclone s3fs seaweedfs
    smb2 smb3 smbfs sshfs vboxsf vmhgfs vmhgfs-fuse
    """.split()  # noqa: SIM905 - forty lines say no more
)
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def refuse_network(folder: Path, mount_table: Path = MOUNT_TABLE) -> None:
    """See that `folder` is on a disk of this machine, as far as this system tells.

    Args:
        folder: is there.
        mount_table: in the form of Linux's `mountinfo`; where there is none, every disk is allowed.

    Raises:
        ConfigError: it is on a network file system.
    """
    kind, source = _file_system(folder, mount_table)
    names = {kind, kind.removeprefix("fuse."), *({source} if kind == "fuse" else ())}
    if names & _NETWORK:
        raise ConfigError(
            f"artefacts_dir {str(folder.parent)!r} is on a network file system ({kind}), where a ledger is not safe",
            op="ledger.open",
            code=Code.UNSUPPORTED,
            hint="set artefacts_dir to a folder on a disk of this machine, and copy the run from there when it is done",
            fields={"file_system": kind},
        )


def _file_system(folder: Path, mount_table: Path) -> tuple[str, str]:
    """The kind of file system that `folder` is on, and what was mounted; empty where that is not known."""
    try:
        lines = mount_table.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return "", ""
    place = os.path.realpath(folder)
    found, best = ("", ""), -1
    for line in lines:
        before, _, after = line.partition(" - ")
        facts, kind = before.split(" "), after.split(" ")
        if len(facts) < 5 or len(kind) < 2:
            continue
        point = _ESCAPED.sub(lambda digits: chr(int(digits[1], 8)), facts[4]).rstrip("/")
        # Of several at one place the last one is seen.
        if (place == point or place.startswith(f"{point}/")) and len(point) >= best:
            found, best = (kind[0], kind[1]), len(point)
    return found
