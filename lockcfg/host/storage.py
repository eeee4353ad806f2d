"""Tells what a lockspace directory is on, and whether its file system carries locks between hosts.

Tests with two hosts on each file system gave the table; see ``docs/explanation/shared-storage.md``.
"""

from __future__ import annotations

import os
import re

from lockcfg.errors import ReadError
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, Literal

    #: yes: another host sees the locks. no: it does not. unknown: one host cannot tell.
    Shared = Literal["yes", "no", "unknown"]

_MOUNTINFO: Final = "/proc/self/mountinfo"


class Mount(Frozen):
    """A mounted file system: its source, its mount point, its type and its options.

    ``options`` are those of the mount and of the file system together.
    """

    __slots__ = ("options", "point", "source", "type")

    def __init__(self, point: str, type: str, source: str, options: frozenset[str]) -> None:
        self.point: Final = point
        self.type: Final = type
        self.source: Final = source
        self.options: Final = options


class Storage(Frozen):
    """What a directory is on. ``shared`` says whether the file system carries locks between hosts.
    ``reason`` says why, as the end of a sentence that begins 'it is on …'."""

    __slots__ = ("exists", "mount", "path", "reason", "shared")

    def __init__(
        self, path: str, exists: bool, mount: Mount | None, shared: Shared, reason: str
    ) -> None:
        self.path: Final = path
        self.exists: Final = exists
        self.mount: Final = mount
        self.shared: Final = shared
        self.reason: Final = reason

    @property
    def local(self) -> bool:
        """Whether only this host has the file system. A shared file system whose locks stay on this
        host is not local."""
        mount = self.mount
        return mount is not None and self.shared == "no" and mount.type not in _OF_SEVERAL_HOSTS


def storage_of(path: str, mounts: Sequence[Mount] | None = None) -> Storage:
    """What the directory ``path`` is on; if it does not exist, what it would be created on."""
    exists = os.path.isdir(path)
    existing = os.path.realpath(path)
    while not os.path.exists(existing) and existing != "/":
        existing = os.path.dirname(existing)
    mount = mount_of(existing, read_mounts() if mounts is None else mounts)
    if mount is None:
        return Storage(path, exists, None, "unknown", "a file system that this process cannot see")
    shared, reason = carries_locks(mount)
    return Storage(path, exists, mount, shared, reason)


def read_mounts() -> list[Mount]:
    """The mounts that this process sees. Raises :class:`ReadError`."""
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            return parse_mounts(file.read())
    except OSError as error:
        raise ReadError(_MOUNTINFO, error.strerror or "cannot be read") from error


def parse_mounts(text: str) -> list[Mount]:
    """The mounts in the text of ``/proc/*/mountinfo`` (proc(5)), in its order."""
    mounts: list[Mount] = []
    for line in text.splitlines():
        fields, separator, rest = line.partition(" - ")
        before, after = fields.split(" "), rest.split(" ")
        if not separator or len(before) < 6 or len(after) < 3:
            continue
        options = frozenset((*before[5].split(","), *after[2].split(",")))
        mounts.append(Mount(_unescape(before[4]), after[0], _unescape(after[1]), options))
    return mounts


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that ``path``, absolute and resolved, is on: the last one with the longest mount
    point."""
    found: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip("/")
        inside = path == mount.point or path.startswith(f"{point}/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def carries_locks(mount: Mount) -> tuple[Shared, str]:
    """Whether other hosts that mount the same file system see locks on ``mount``, and why."""
    kind, options = mount.type, mount.options
    if kind == "nfs4":
        for option in ("local_lock=all", "local_lock=posix"):
            if option in options:  # Linux forgets it when it mounts version 4
                return "unknown", f"NFSv4 with {option}, which no known client of version 4 has"
        return "yes", f"NFSv4 ({mount.source})"
    if kind == "nfs":
        for option in NFS_LOCKS_STAY:
            if option in options:
                return "no", f"NFSv3 with {option}, which keeps locks on this host"
        return "yes", f"NFSv3 ({mount.source})"
    if kind in ("cifs", "smb3"):
        if "nobrl" in options:
            return "no", "CIFS with nobrl, which keeps locks on this host"
        return "unknown", "CIFS, which carries some locks between hosts and not others"
    if kind == "ocfs2" and "cluster_stack=o2cb" in options:
        return "no", "OCFS2 on the o2cb stack, which does not carry these locks"
    for option in _LOCKS_STAY.get(kind, ()):
        if option in options:
            return "no", f"{_NAMES.get(kind, kind)} with {option}, which keeps locks on this host"
    if kind == "lustre" and "flock" in options:
        return "yes", f"Lustre with flock ({mount.source})"
    if kind in _SHARED:
        return "yes", f"{_SHARED[kind]} ({mount.source})"
    if kind in _UNKNOWN:
        return "unknown", f"{_UNKNOWN[kind]}, of which one host cannot tell"
    if kind in LOCAL:
        return "no", f"{kind}, which no other host shares"
    if kind in _WITHOUT_LOCKS:
        return "no", f"{kind}, which keeps locks on this host"
    return "unknown", f"{kind}, of which one host cannot tell"


#: The options of NFS before version 4 that keep locks on each host.
NFS_LOCKS_STAY: Final = ("nolock", "local_lock=all", "local_lock=posix")

#: Options that make a shared file system keep locks on each host, or refuse them.
_LOCKS_STAY: Final = {
    "gfs2": ("lockproto=lock_nolock", "localflocks"),
    "ocfs2": ("localflocks", "heartbeat=none"),
    "lustre": ("localflock", "noflock"),
    "fuse.mfs": ("mfsnoposixlocks",),
    "fuse.glusterfs": ("no-posix-locks",),
}

#: Shared file systems whose locks may stay on each host.
_OF_SEVERAL_HOSTS: Final = ("nfs", "cifs", "smb3", *_LOCKS_STAY)

_NAMES: Final = {"gfs2": "GFS2", "ocfs2": "OCFS2", "lustre": "Lustre", "fuse.mfs": "MooseFS"}

_SHARED: Final = {
    "fuse.glusterfs": "GlusterFS",
    "ceph": "CephFS",
    "fuse.ceph-fuse": "CephFS",
    "gfs2": "GFS2",
}

#: File systems that only one kernel has. Other hosts may share a file system that is not listed
#: here.
LOCAL: Final = frozenset(
    (
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs"),
        *("nilfs2", "erofs", "squashfs", "cramfs", "minix", "ufs", "udf", "iso9660", "hfsplus"),
        *("vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "overlay", "aufs"),
        *("tmpfs", "ramfs", "rootfs", "hugetlbfs", "devtmpfs", "devfs", "proc", "sysfs", "cgroup2"),
        *("fuse.lxcfs", "fuse.fuse-overlayfs", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat"),
    )
)

#: Shared file systems that leave locks to each host.
_WITHOUT_LOCKS: Final = ("9p", "fuse.sshfs")

_UNKNOWN: Final = {
    "ocfs2": "OCFS2",
    "fuse.mfs": "MooseFS, which carries locks unless it is mounted with mfsnoposixlocks",
    "virtiofs": "virtiofs",
    "lustre": "Lustre",
    "gpfs": "GPFS",
    "beegfs": "BeeGFS",
}


def _unescape(field: str) -> str:
    """A field of mountinfo, without the octal escapes for blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)
