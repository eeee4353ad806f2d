"""A spool: a directory in which hosts leave their snapshots, one file each.

The hosts are not trusted. A file is a snapshot by its name; names that begin with a dot
are those of files that are not whole yet. Snapshots may also be in directories directly below the
spool, so that each hall, or each host, has one that only it can write.
"""

from __future__ import annotations

import os
import time
from itertools import islice

from lockcfg.conf.load import read_error
from lockcfg.fleet.snapshots.sources import SNAPSHOTS, as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: The most files that are taken in.
MOST_FILES: Final = 500_000

#: How long after a directory has changed it may change again, and its time be the same: some file
#: systems count in seconds.
_SETTLED: Final = 2.5

#: After how many seconds every directory is read, whatever its time says: a host may have written a
#: file in its place.
_READ_AGAIN: Final = 300.0


class Spooled:
    """A file of a spool: its ``path``, and a ``stamp`` that changes when the file is replaced."""

    __slots__ = ("path", "stamp")

    def __init__(self, path: str, stamp: str) -> None:
        self.path: Final = path
        self.stamp: Final = stamp


class _Directory:
    """A directory as it was read: its time then, since when it is known to have that time, when
    it was read last, its files, and the directories in it."""

    __slots__ = ("below", "files", "read", "since", "time")

    def __init__(self) -> None:
        self.time = -1
        self.since = self.read = -_READ_AGAIN
        self.files: dict[str, Spooled] = {}
        self.below: list[str] = []


class Spool:
    """The files of a spool, by what their paths are called in a fleet store."""

    def __init__(self, top: str) -> None:
        self.top: Final = top
        #: Whether there were more files than are taken in.
        self.full = False
        self._known: dict[str, _Directory] = {}

    def look(self) -> dict[str, Spooled]:
        """The files that are there now. Only directories that have changed are read again. Raises
        :class:`~lockcfg.errors.ReadError` where the spool itself cannot be read."""
        before, self._known = self._known, {}
        self.full = False
        try:
            top = self._directory(self.top, before.get(self.top))
        except OSError as error:
            raise read_error(self.top, error) from error
        found = dict(top.files)
        for path in top.below:
            if len(found) > MOST_FILES:
                break
            try:
                found.update(self._directory(path, before.get(path)).files)
            except FileNotFoundError:
                continue  # it is gone, and with it the files
            except OSError as error:
                # The reader of this path as a file finds that it is none.
                found[as_text(path)] = Spooled(path, f"errno {error.errno}")
        if len(found) > MOST_FILES:
            self.full = True
            return dict(islice(sorted(found.items()), MOST_FILES))
        return found

    def _directory(self, path: str, known: _Directory | None) -> _Directory:
        """A directory, read again if that is due. Raises OSError."""
        now = time.monotonic()
        known = self._known[path] = known or _Directory()
        changed = os.stat(path, follow_symlinks=path == self.top).st_mtime_ns
        if changed != known.time:
            known.time, known.since = changed, now
        elif known.read - known.since >= _SETTLED and now - known.read < _READ_AGAIN:
            return known
        known.read = now
        known.files, known.below = self._entries(path)
        return known

    def _entries(self, path: str) -> tuple[dict[str, Spooled], list[str]]:
        files: dict[str, Spooled] = {}
        below: list[str] = []
        with os.scandir(path) as entries:
            for entry in islice(entries, 2 * MOST_FILES):
                name = entry.name
                if name.startswith("."):
                    continue
                if name.endswith(SNAPSHOTS):
                    try:
                        told = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    stamp = f"{told.st_ino} {told.st_size} {told.st_mtime_ns} {told.st_ctime_ns}"
                    files[as_text(entry.path)] = Spooled(entry.path, stamp)
                elif path == self.top and entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
        return files, sorted(below)
