"""Which files a process has locked, as the kernel reports it."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress

from lockd.move.waiting import LOOK
from lockd.query import QueryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    #: The identity of a file in /proc/locks: device (major, minor in hex) and inode.
    File = tuple[str, int]

_LOOKS: Final = 20

#: A lock on byte 0 in /proc/PID/fdinfo and in /proc/locks; that of a PID file is longer.
_LOCK_WORDS: Final = r" +ADVISORY +(?:READ|WRITE) +-?\d+ +([0-9a-f]+:[0-9a-f]+):(\d+) 0 0$"
LOCK: Final = re.compile(r"^lock:\s+\d+: POSIX" + _LOCK_WORDS, re.M)
OWN_LOCK: Final = re.compile(r"^lock:\s+\d+: (?:OFDLCK|POSIX)" + _LOCK_WORDS, re.M)
_HELD: Final = re.compile(r"^\d+: (?:OFDLCK|POSIX)" + _LOCK_WORDS, re.M)


def files_of(pid: int) -> Iterator[tuple[str, os.stat_result]]:
    """The lock files and disks that a process has open: path and status."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            status = os.stat(f"/proc/{pid}/fd/{fd}")
            is_file = stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)
            if path.startswith("/") and is_file and not path.endswith((".pid", ".log")):
                yield path, status


def locked_by(pid: int, pattern: re.Pattern[str]) -> dict[File, list[str]]:
    """The files that a process has locked, except for its PID file, with their paths."""
    found: dict[File, list[str]] = {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with suppress(OSError), open(f"/proc/{pid}/fdinfo/{fd}") as file:
            lock = pattern.search(file.read())
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            if lock is not None and not path.endswith(".pid"):
                found.setdefault((lock[1], int(lock[2])), []).append(path)
    return found


def check_held(locked: dict[File, list[str]], pid: int) -> None:
    """Check that all files are still locked, except those released since, which the process ``pid``
    no longer has open. Raises QueryError."""
    missing = locked
    for _ in range(_LOOKS):
        # It is read in pieces: while others release locks, a lock may be missed.
        with open("/proc/locks") as file:
            held = {(lock[1], int(lock[2])) for lock in _HELD.finditer(file.read())}
        is_open = {path for path, _ in files_of(pid)}
        missing = {
            known: paths
            for known, paths in missing.items()
            if known not in held and not is_open.isdisjoint(paths)
        }
        if not missing:
            return
        time.sleep(LOOK)
    for paths in missing.values():
        raise QueryError(f"{paths[0]} is no longer locked: see the log")
