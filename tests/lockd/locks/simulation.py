"""A host in memory: the real engine, with a disk and a clock that do what they are told."""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import TYPE_CHECKING

from lockd.kernel.filelock import FileLock, HeldError
from lockd.locks.engine import Engine
from lockd.locks.holders import Holders
from lockd.log import Logging
from lockd.survival.journal import Journal
from lockd.survival.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from lockd.kernel.filelock import Turned
    from lockd.kernel.named import Identity

#: The lockspace of :func:`two_hosts`.
SPACE: Final = "/space"


class FakeClock:
    """A clock that goes on when :attr:`now` does."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """Seconds since any moment."""
        return self.now


class Files:
    """The files of a disk that any number of hosts use, and who has locked them."""

    def __init__(self) -> None:
        self.directories = {"/"}
        self.inodes: Final[dict[str, int]] = {}
        self.notes: Final[dict[int, bytes]] = {}
        #: By inode: whether the lock is shared, by descriptor.
        self.locks: Final[dict[int, dict[int, bool]]] = {}
        self.numbers: Final = count(100)


class FakeDisk:
    """A host's access to some files."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._open: Final[dict[int, int]] = {}

    def inherit(self, other: FakeDisk) -> None:
        """Have the open files of another process."""
        self._open.update(other._open)

    def make_directory(self, path: str) -> None:
        """Have a directory."""
        self._files.directories.add(path)

    def is_directory(self, path: str) -> bool:
        """Whether there is one."""
        return path in self._files.directories

    def exists(self, path: str) -> bool:
        """Whether there is anything."""
        return path in self._files.directories or path in self._files.inodes

    def exists_at_all(self, path: str) -> bool:
        """Whether there is anything: there are no links."""
        return self.exists(path)

    def check_plain(self, path: str) -> None:
        """All files are plain."""

    def create(self, path: str, *, plain: bool = True) -> None:  # noqa: ARG002 - all are
        """Make an empty file."""
        if os.path.dirname(path) not in self._files.directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._files.inodes.setdefault(path, next(self._files.numbers))

    def remove(self, path: str) -> None:
        """Remove a file."""
        if path not in self._files.inodes:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        del self._files.inodes[path]

    def identity_at(self, path: str) -> Identity | None:
        """What the file of that name is known by."""
        inode = self._files.inodes.get(path)
        return None if inode is None else (1, inode)

    def born_at(self, path: str) -> int:
        """No inode comes back."""
        return self._files.inodes.get(path, 0)

    def take(
        self,
        path: str,
        *,
        shared: bool,
        create: bool,
        plain: bool,  # noqa: ARG002 - all files are
        may_be_shared: Callable[[int, str], bool],  # noqa: ARG002 - names are always right here
    ) -> FileLock:
        """Lock a file."""
        if create:
            self.create(path)
        elif path not in self._files.inodes:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        inode = self._files.inodes[path]
        fd = next(self._files.numbers)
        self._open[fd] = inode
        if not self._lock(fd, shared=shared):
            del self._open[fd]
            raise HeldError((1, inode), self._files.notes.get(inode, b""), 0)
        return FileLock(fd, (1, inode), False)

    def _lock(self, fd: int, *, shared: bool) -> bool:
        held = self._files.locks.setdefault(self._open[fd], {})
        others = [is_shared for other, is_shared in held.items() if other != fd]
        if others and not (shared and all(others)):
            return False
        held[fd] = shared
        return True

    def is_at(
        self,
        fd: int,
        path: str,
        _: Callable[[int, str], bool],
        *,
        plain: bool,  # noqa: ARG002 - all files are
    ) -> bool:
        """Whether an open file has that name."""
        return self._files.inodes.get(path) == self._open[fd]

    def lock_again(self, lock: FileLock, *, shared: bool) -> bool:
        """Lock a file that is still open."""
        there = self._open[lock.fd] in self._files.inodes.values()
        return there and self._lock(lock.fd, shared=shared)

    def renew(self, lock: FileLock, *, shared: bool) -> bool:
        """Ask for a lock once more."""
        return self._lock(lock.fd, shared=shared)

    def unlock(self, lock: FileLock) -> None:
        """Unlock a file that stays open."""
        self._files.locks[self._open[lock.fd]].pop(lock.fd, None)

    def turn_into_own(self, fd: int, *, shared: bool) -> Turned:
        """There are no locks of processes."""
        raise NotImplementedError

    turn_into_posix = turn_into_own

    def let_go(self, lock: FileLock) -> None:
        """Unlock a file, and close it."""
        self.unlock(lock)
        self.drop(lock)

    def drop(self, lock: FileLock) -> None:
        """Close a file. What has its descriptor for later keeps the lock."""
        del self._open[lock.fd]

    def show(self, fd: int, *, shared: bool) -> None:
        """No process looks."""

    def hide(self, fd: int) -> None:
        """No process looks."""

    def write_note(self, fd: int, note: bytes) -> None:
        """Leave a note with a file."""
        self._files.notes[self._open[fd]] = note

    def wipe_note(self, fd: int) -> None:
        """Take it away."""
        self._files.notes.pop(self._open[fd], None)

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return len(self._open)


class NoServers:
    """All file systems answer at once."""

    def check(self, directory: str) -> None:
        """It answers."""

    def check_file(self, directory: str, path: str) -> None:
        """It answers."""

    def check_path(self, path: str) -> None:
        """It answers."""


class Host:
    """An engine on a host of that name, which sees the files of a disk and the time of a clock. If
    the file system ``is_shared``, other hosts may use it."""

    def __init__(
        self, name: str, files: Files, clock: FakeClock, *, is_shared: bool = False
    ) -> None:
        self.disk: Final = FakeDisk(files)
        self.journal: Final = Journal.create(1)
        self.logging: Final = Logging()
        log = self.logging.part("util.virlockspace")
        self.engine: Final = Engine(
            self.journal,
            Keeper("", log, {}, {}),
            Holders(name, []),
            lambda _, __: is_shared,
            NoServers(),
            log,
            self.disk,
            clock,
        )


def two_hosts(*, is_shared: bool = False) -> tuple[Host, Host, Files, FakeClock]:
    """Two hosts that lock in one lockspace, :data:`SPACE`."""
    files, clock = Files(), FakeClock()
    one, two = (Host(name, files, clock, is_shared=is_shared) for name in ("one", "two"))
    for host in (one, two):
        host.engine.create_lockspace(SPACE)
    return one, two, files, clock
