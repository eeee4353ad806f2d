"""Finds the locks that a host holds on the bricks of this GlusterFS server, and frees them.

The state dump of a brick (SIGUSR1; GlusterFS's administrator guide, "Statedump") tells which client
has which lock, with the name of the client's host. A virtual attribute of a file clears its locks;
``gluster volume clear-locks`` uses it too. It clears the locks of every client. So lockcfg clears a
file only if all of its locks belong to the dead host.
"""

from __future__ import annotations

import os
import re
import signal
import time

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from lockcfg.host.storage import Mount

#: Where bricks write their state dumps, how many seconds a dump may take, and how many bytes it may
#: have.
_DUMPS: Final = "/var/run/gluster"
_PATIENCE: Final = 5.0
_MOST: Final = 256 * 1024 * 1024

_PATH: Final = re.compile(r"^path=(/.*)$")
_LOCK: Final = re.compile(r"^posixlk\.posixlk\[\d+\]\(ACTIVE\)=.*connection-id=(\S+?),? ")
_HOST: Final = re.compile(r"-HOST:(.+?)-PC_NAME:")

#: The attribute that clears all granted POSIX locks of a file.
_CLEAR: Final = "glusterfs.clrlk.tposix.kgranted"


class HeldFile(Frozen):
    """A file of a volume on which a host holds locks: its ``path`` in the volume, the ``volume``
    (empty if the brick does not say), and the other hosts that hold locks on it."""

    __slots__ = ("others", "path", "volume")

    def __init__(self, volume: str, path: str, others: Iterable[str]) -> None:
        self.volume: Final = volume
        self.path: Final = path
        self.others: Final = tuple(others)

    @property
    def command(self) -> str:
        """The command that an administrator would type."""
        return (
            f"gluster volume clear-locks {self.volume or 'VOLUME'} {self.path} kind granted posix"
        )


def bricks() -> list[int]:
    """The brick processes of this host."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/comm", encoding="ascii", errors="replace") as file:
                name = file.read().strip()
        except OSError:
            continue
        if name == "glusterfsd" and _is_here(entry):
            found.append(int(entry))
    return sorted(found)


def _is_here(pid: str) -> bool:
    """Whether a process sees the same files and processes as lockcfg. A process in a container
    writes its dump elsewhere."""
    try:
        return all(
            os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")
            for kind in ("mnt", "pid")
        )
    except OSError:
        return False


def held_by(host: str) -> list[HeldFile]:
    """The files on which a host holds locks, by the bricks of this server. Raises OSError if a
    brick does not answer."""
    found = []
    for pid in bricks():
        volume = _volume_of(pid)
        for path, hosts in holders_in(_dump(pid)).items():
            if host in hosts:
                found.append(HeldFile(volume, path, sorted(hosts - {host})))
    return found


def holders_in(dump: str) -> dict[str, set[str]]:
    """The hosts that hold locks on each file, from the text of a state dump."""
    found: dict[str, set[str]] = {}
    path = ""
    for line in dump.splitlines():
        if line.startswith("["):
            path = ""
            continue
        match = _PATH.match(line)
        if match:
            path = match[1]
            continue
        lock = _LOCK.match(f"{line} ")
        if lock and path:
            host = _HOST.search(lock[1])
            # If a client gives no name, the holder of its lock is unknown.
            found.setdefault(path, set()).add(host[1] if host else "?")
    return found


def _dump(pid: int) -> str:
    before = set(_dumps(pid))
    os.kill(pid, signal.SIGUSR1)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        for name in set(_dumps(pid)) - before:
            path = os.path.join(_DUMPS, name)
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(_MOST)
            if "DUMP-END-TIME" in text:
                os.unlink(path)  # lockcfg alone asked for this dump
                return text
        time.sleep(0.05)
    raise TimeoutError(0, f"the brick with pid {pid} has written no state dump")


def _dumps(pid: int) -> list[str]:
    try:
        return [name for name in os.listdir(_DUMPS) if f".{pid}.dump." in name]
    except FileNotFoundError:
        return []


def _volume_of(pid: int) -> str:
    """The volume of a brick that glusterd has started; empty if unknown."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().decode("utf-8", "replace").split("\0")
    for at, word in enumerate(words[:-1]):
        if word == "--volfile-id":
            return words[at + 1].partition(".")[0]
    return ""


def mount_of(file: HeldFile, mounts: Sequence[Mount]) -> Mount | None:
    """The mount of a file's volume on this host; None if there is none, or if several may be it."""
    mine = [mount for mount in mounts if mount.type == "fuse.glusterfs"]
    if file.volume:
        mine = [
            mount
            for mount in mine
            if mount.source.rpartition(":")[2].strip("/").partition("/")[0] == file.volume
        ]
        return mine[0] if mine else None
    return mine[0] if len(mine) == 1 else None


def clear(file: HeldFile, mount: Mount) -> None:
    """Clear the locks of a file. Raises OSError."""
    os.getxattr(os.path.join(mount.point, file.path.lstrip("/")), _CLEAR)
