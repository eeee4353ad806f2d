"""Follows a path as the kernel does, and finds the file systems with a server that it leads to."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg import Mount

#: The file systems that depend on a server or on other hosts, and those that are mounted on access.
#: All of FUSE depends on at least a process.
_TYPES: Final = {
    *("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "afs", "autofs", "fuse"),
    *("ceph", "lustre", "gpfs", "beegfs", "gfs2", "ocfs2"),
}

#: How many links to follow, and how long a path may be: the kernel's own limits.
_MOST_LINKS: Final = 40
_LONGEST: Final = 4096

#: How many file systems may stand on one another.
_DEEPEST: Final = 8

#: The options of an overlay that say which directories it is made of.
_LAYERS: Final = ("lowerdir=", "upperdir=", "workdir=")


def has_server(mount: Mount) -> bool:
    """Whether a file system depends on a server, on other hosts or on a process, or is mounted on
    access."""
    return mount.type in _TYPES or mount.type.startswith("fuse.")


def remote_mounts(
    path: str,
    mounts: Mapping[str, Mount],
    read_link: Callable[[str], str] | None = None,
    depth: int = 0,
) -> Iterator[tuple[Mount, str]]:
    """The file systems with a server that ``path`` leads to or over, by ``mounts``, which are by
    their points, each with the path to ask its server about. Nothing of one of them is looked at
    before the next is asked for; nothing is yielded for a path that stays on this host. Links are
    read by ``read_link``.
    """
    if len(path) > _LONGEST or not path.startswith("/") or depth > _DEEPEST:
        return
    seen, left, links = "", [*reversed(path.split("/"))], 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            seen = os.path.dirname(seen).rstrip("/")
            continue
        seen = f"{seen}/{part}"
        mount = mounts.get(seen)
        if mount is not None:
            if mount.type == "autofs":
                yield mount, _looked_at(seen, left)
            elif has_server(mount):
                yield mount, seen
            else:
                for below in _stands_on(mount):
                    yield from remote_mounts(below, mounts, read_link, depth + 1)
        try:
            target = (read_link or os.readlink)(seen)
        except (OSError, ValueError):
            continue  # no link, or nothing at all
        links += 1
        if links > _MOST_LINKS:
            return
        left += reversed(target.split("/"))
        seen = "" if target.startswith("/") else os.path.dirname(seen).rstrip("/")


def _looked_at(point: str, left: Sequence[str]) -> str:
    """The path below an automount point whose access mounts something: the next of the remaining
    parts of a path, which are in reverse order."""
    for part in reversed(left):
        if part not in ("", "."):
            return point if part == ".." else f"{point}/{part}"
    return point


def _stands_on(mount: Mount) -> Iterator[str]:
    """The directories and files of other file systems that a mounted one is made of."""
    if mount.type == "overlay":
        for option in mount.options:
            for name in _LAYERS:
                if option.startswith(name):
                    yield from option.removeprefix(name).split(":")
    device = os.path.basename(mount.source)
    if mount.source.startswith("/dev/loop"):
        try:
            with open(f"/sys/block/{device}/loop/backing_file", encoding="utf-8") as file:
                yield file.read().rstrip("\n")
        except (OSError, ValueError):
            pass  # the device is gone, and so is its mount
