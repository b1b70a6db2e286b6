from __future__ import annotations

import pytest

from fmf.errors import ConfigError
from fmf.ledger.disks import refuse_network
from fmf.ledger.run_ledger import RunLedger
from fmf_core.errors import Code


def table(tmp_path, *mounts):
    """A mount table with the root, and then `mounts`, each as (place, kind, source)."""
    lines = ["22 1 8:1 / / rw,relatime - ext4 /dev/sda rw"]
    lines += [f"30 22 0:40 / {place} rw shared:1 - {kind} {source} rw" for place, kind, source in mounts]
    path = tmp_path / "mountinfo"
    path.write_text("\n".join([*lines, "nonsense", ""]))
    return path


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("nfs", "host:/x"),
        ("nfs4", "host:/x"),
        ("cifs", "//host/x"),
        ("smb3", "//host/x"),
        ("9p", "drvfs"),
        ("ceph", "host:/"),
        ("lustre", "x"),
        ("fuse.sshfs", "me@host:"),
        ("fuse.s3fs", "s3fs"),
        ("fuse.rclone", "remote:"),
        ("fuse", "mountpoint-s3"),
    ],
)
def test_a_network_file_system_is_refused_and_named(tmp_path, kind, source):
    folder = tmp_path / "artefacts" / "run"
    folder.mkdir(parents=True)
    mounts = table(tmp_path, (tmp_path / "artefacts", kind, source))
    for act in (lambda: refuse_network(folder, mounts), lambda: RunLedger.begin(folder, {}, mount_table=mounts)):
        with pytest.raises(ConfigError, match=f"network file system \\({kind}\\)") as told:
            act()
        assert told.value.code is Code.UNSUPPORTED
        assert "set artefacts_dir to a folder on a disk of this machine" in told.value.hint
    assert list(folder.iterdir()) == []


def test_a_ledger_that_was_brought_to_a_network_is_not_resumed_there(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    RunLedger.begin(folder, {})
    with pytest.raises(ConfigError, match="network file system"):
        RunLedger.resume(folder, mount_table=table(tmp_path, (tmp_path, "nfs", "host:/x")))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay", "fuseblk", "fuse.bindfs", "zfs"])
def test_other_file_systems_are_allowed(tmp_path, kind):
    refuse_network(tmp_path, table(tmp_path, (tmp_path, kind, "x")))


def test_the_nearest_mount_decides_and_of_two_at_one_place_the_last(tmp_path):
    inner = tmp_path / "a b" / "run"
    inner.mkdir(parents=True)
    spaced = str(inner.parent).replace(" ", "\\040")
    refuse_network(inner, table(tmp_path, (spaced, "ext4", "x"), (tmp_path, "nfs", "x")))
    refuse_network(inner, table(tmp_path, (spaced, "nfs", "x"), (spaced, "ext4", "x")))
    refuse_network(inner, table(tmp_path, (f"{tmp_path}/a", "nfs", "x")))
    with pytest.raises(ConfigError):
        refuse_network(inner, table(tmp_path, (tmp_path, "ext4", "x"), (spaced, "nfs", "x")))


def test_a_link_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    with pytest.raises(ConfigError):
        refuse_network(tmp_path / "near", table(tmp_path, (tmp_path / "far", "nfs", "x")))


def test_without_a_mount_table_every_disk_is_allowed(tmp_path):
    refuse_network(tmp_path, tmp_path / "nothing")
