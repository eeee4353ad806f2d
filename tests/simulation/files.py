"""File systems: one of a machine alone, or one of a server, which its clients remember parts of.

A client asks the server, or goes by what that has answered once: which file a name led to, and how
many names a file had. What it remembers may be old, for as long as it likes. There are ways around
that, others on NFS than on GlusterFS (:mod:`lockd.kernel.statx`).
"""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    Kind = Literal["local", "nfs", "gluster"]

#: How likely a client goes by what it remembers.
_REMEMBERS: Final = 0.7


def failure(number: int, path: str | None = None) -> OSError:
    """What a call raises that fails so."""
    return OSError(number, os.strerror(number), path)


class Inode:
    """A file. ``locks`` are whether each lock is shared, by the open file that it belongs to."""

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.links = 1
        self.note = b""
        #: The host that has removed it while it had it open: NFS gives it another name until then.
        self.renamed_by = ""
        self.locks: Final[dict[OpenFile, bool]] = {}


class Files:
    """The files of a machine or of a server, by their paths. ``chance`` decides."""

    def __init__(
        self, device: int, point: str, kind: Kind, chance: Callable[[float], bool]
    ) -> None:
        self.device: Final = device
        self.point: Final = point
        self.kind: Final = kind
        self.chance: Final = chance
        self.names: Final[dict[str, Inode]] = {}
        self.directories: Final = {point}
        self.inodes: Final[list[Inode]] = []
        self._numbers: Final = count(2)

    def make(self, path: str) -> Inode:
        """An empty file of that name, which nothing has yet."""
        inode = self.names[path] = Inode(next(self._numbers))
        self.inodes.append(inode)
        return inode

    def remove(self, path: str) -> Inode:
        """Take a name away; returns the file that had it. Raises OSError."""
        if path not in self.names:
            raise failure(errno.ENOENT, path)
        return self.names.pop(path)

    def forget_locks(self, host: str) -> None:
        """The server gives a host's locks up, and the host does not know yet."""
        for inode in self.inodes:
            for file in [each for each in inode.locks if each.view.host == host]:
                del inode.locks[file]
                file.is_lost = True


class View:
    """What a host has of some files, and what it remembers of them."""

    def __init__(self, files: Files, host: str) -> None:
        self.files: Final = files
        self.host: Final = host
        self._names: Final[dict[str, Inode]] = {}
        self._links: Final[dict[Inode, int]] = {}
        #: How often the host has each file open.
        self.opened: Final[dict[Inode, int]] = {}

    def look_up(self, path: str) -> Inode:
        """The file of that name: as it is remembered, or as the server says. Raises OSError."""
        known = self._names.get(path)
        if known is not None and self.files.chance(_REMEMBERS):
            return known
        return self.ask(path)

    def ask(self, path: str) -> Inode:
        """The file of that name, as the server says. Raises OSError."""
        found = self.files.names.get(path)
        if found is None:
            self._names.pop(path, None)
            raise failure(errno.ENOENT, path)
        self._remember(path, found)
        return found

    def _remember(self, path: str, inode: Inode) -> None:
        if self.files.kind != "local":
            self._names[path] = inode
            self._links[inode] = inode.links

    def open(self, path: str, *, create: bool) -> OpenFile:
        """Open a file. Raises OSError."""
        try:
            inode = self.look_up(path)
        except FileNotFoundError:
            if not create or os.path.dirname(path) not in self.files.directories:
                raise
            inode = self.files.make(path)
            self._remember(path, inode)
        if not inode.links and self.files.chance(0.3):
            raise failure(errno.ESTALE, path)
        return OpenFile(self, inode, path)

    def remove(self, path: str) -> None:
        """Remove a file: by its name, whatever this host remembers of it. Raises OSError."""
        self._names.pop(path, None)
        inode = self.files.remove(path)
        if self.files.kind == "nfs" and self.opened.get(inode):
            inode.renamed_by = self.host
        else:
            inode.links -= 1

    # --- what gets around what is remembered

    def on_attribute_of(self, path: str) -> None:
        """An attribute of a name was asked for: GlusterFS looks the name up again."""
        if self.files.kind == "gluster":
            self._names.pop(path, None)

    def on_directory_synced(self, directory: str) -> None:
        """The server was asked for the status of a directory: NFS sees what changed in it."""
        if self.files.kind == "nfs":
            for path in [each for each in self._names if os.path.dirname(each) == directory]:
                del self._names[path]

    def links(self, inode: Inode) -> int:
        """How many names a file has, as this host remembers it."""
        return self._links.get(inode, inode.links)

    def refresh(self, inode: Inode) -> int:
        """How many it has, as the server says."""
        self._links[inode] = inode.links
        return inode.links


class OpenFile:
    """An open file description on a host: what a lock belongs to. ``is_lost`` is whether the server
    has given its lock up and the host does not know."""

    def __init__(self, view: View, inode: Inode, path: str) -> None:
        self.view: Final = view
        self.inode: Final = inode
        self.path: Final = path
        self.is_lost = False
        self.is_flushed = False
        view.opened[inode] = view.opened.get(inode, 0) + 1

    def lock(self, *, shared: bool) -> None:
        """Lock it. Raises OSError: EAGAIN where another has it."""
        files = self.view.files
        if self.is_lost and files.kind == "nfs":
            raise failure(errno.EIO)
        is_gone = not self.inode.links and not self.inode.locks and files.kind != "local"
        if is_gone and files.chance(0.5):
            raise failure(errno.ESTALE)  # only this host has it open: the server knows no such file
        if self.blocking(shared=shared):
            raise failure(errno.EAGAIN)
        self.inode.locks[self] = shared
        self.is_lost = False

    def blocking(self, *, shared: bool) -> bool:
        """Whether another's lock is in the way of one."""
        return any(
            file is not self and not (shared and is_shared)
            for file, is_shared in self.inode.locks.items()
        )

    def unlock(self) -> None:
        """Unlock it."""
        self.inode.locks.pop(self, None)
        self.is_lost = False

    def links(self) -> int:
        """How many names it has, as the server is asked (AT_STATX_FORCE_SYNC): GlusterFS goes by
        what it remembers all the same, unless the file was flushed just before."""
        flushed, self.is_flushed = self.is_flushed, False
        if self.view.files.kind == "gluster" and not flushed:
            return self.view.links(self.inode)
        return self.view.refresh(self.inode)

    def close(self) -> None:
        """The last descriptor of it is closed."""
        self.unlock()
        view, inode = self.view, self.inode
        view.opened[inode] -= 1
        if inode.renamed_by == view.host and not view.opened[inode]:
            inode.links -= 1
