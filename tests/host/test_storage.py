"""Which file system a directory is on, and what that means for its locks."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lockcfg.host.storage import (
    Mount,
    carries_locks,
    mount_of,
    parse_mounts,
    read_mounts,
    storage_of,
)

if TYPE_CHECKING:
    from pathlib import Path

MOUNTINFO = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:50 / /srv/lock\040spaces rw,noatime shared:9 - nfs4 nas:/export/lock\040spaces rw,vers=4.2
31 22 0:51 / /srv/v3 rw shared:10 master:1 - nfs nas:/v3 rw,vers=3,nolock,local_lock=all
32 22 0:52 / /srv/lock\040spaces/inner rw - tmpfs tmpfs rw
33 22 0:53 /sub /srv/gl rw - fuse.glusterfs srv:/vol rw,user_id=0
broken line
"""


def test_a_mountinfo_is_read_as_proc_5_describes_it() -> None:
    """Optional fields vary in number, blanks in names are octal, junk is passed over."""
    mounts = parse_mounts(MOUNTINFO)
    assert [(mount.point, mount.type) for mount in mounts] == [
        ("/", "ext4"),
        ("/srv/lock spaces", "nfs4"),
        ("/srv/v3", "nfs"),
        ("/srv/lock spaces/inner", "tmpfs"),
        ("/srv/gl", "fuse.glusterfs"),
    ]
    assert mounts[1].source == "nas:/export/lock spaces"
    assert {"noatime", "vers=4.2"} <= mounts[1].options


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/srv/lock spaces", "/srv/lock spaces"),
        ("/srv/lock spaces/x/y", "/srv/lock spaces"),
        ("/srv/lock spacesX", "/"),
        ("/srv/lock spaces/inner/z", "/srv/lock spaces/inner"),
        ("/etc", "/"),
    ],
)
def test_the_innermost_mount_counts(path: str, point: str) -> None:
    """And a common prefix of names is not enough."""
    mount = mount_of(path, parse_mounts(MOUNTINFO))
    assert mount is not None
    assert mount.point == point


@pytest.mark.parametrize(
    ("kind", "options", "shared"),
    [
        ("nfs4", "rw,nolock", "yes"),
        ("nfs", "rw,local_lock=none", "yes"),
        ("nfs", "rw,local_lock=flock", "yes"),
        ("nfs", "rw,nolock", "no"),
        ("nfs", "rw,local_lock=all", "no"),
        ("nfs", "rw,local_lock=posix", "no"),
        ("fuse.glusterfs", "rw", "yes"),
        ("fuse.ceph-fuse", "rw", "yes"),
        ("ceph", "rw", "yes"),
        ("fuse.mfs", "rw", "unknown"),
        ("virtiofs", "rw", "unknown"),
        ("cifs", "rw", "unknown"),
        ("cifs", "rw,nobrl", "no"),
        ("ocfs2", "rw,cluster_stack=o2cb", "no"),
        ("ocfs2", "rw,cluster_stack=pcmk", "unknown"),
        ("fuse.sshfs", "rw", "no"),
        ("fuse.somethingnew", "rw", "unknown"),
        ("9p", "rw", "no"),
        ("overlay", "rw", "no"),
        ("tmpfs", "rw", "no"),
        ("ext4", "rw", "no"),
        ("xfs", "rw", "no"),
    ],
)
def test_what_carries_locks_between_hosts(kind: str, options: str, shared: str) -> None:
    """The table of docs/explanation/shared-storage.md."""
    answer, reason = carries_locks(Mount("/m", kind, "source", frozenset(options.split(","))))
    assert answer == shared
    assert reason


def test_a_directory_that_is_not_there_is_judged_by_where_it_would_be(tmp_path: Path) -> None:
    """So that enabling can warn before anything is made."""
    there, missing = storage_of(str(tmp_path)), storage_of(str(tmp_path / "a/b"))
    assert there.exists
    assert not missing.exists
    assert missing.mount == there.mount


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    """/proc is another file system wherever the tests run."""
    link = tmp_path / "link"
    link.symlink_to("/proc")
    mount = storage_of(str(link)).mount
    assert mount is not None
    assert mount.type == "proc"


def test_a_real_mount_is_seen() -> None:
    """A tmpfs in a mount namespace of its own, judged by a process in there."""
    program = (
        "from lockcfg.host.storage import storage_of; s = storage_of('/mnt/a');"
        "print(s.mount.type, s.mount.point, s.shared, s.exists)"
    )
    script = f'mount -t tmpfs none /mnt && exec "$0" -c "{program}"'
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["tmpfs", "/mnt", "no", "False"]


def test_this_machines_mounts_can_be_read() -> None:
    """The root is always one of them."""
    assert mount_of("/", read_mounts()) is not None
