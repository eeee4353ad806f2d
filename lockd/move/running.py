"""A running virtlockd, seen from outside."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import time
from contextlib import suppress
from struct import Struct

from lockd.move.held import LOCK, files_of, locked_by
from lockd.move.refused import RefusedError
from lockd.move.waiting import CALLS, LOOK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from lockd.move.held import File

_PIDFD_GETFD: Final = 438

#: The library of libvirt, as /proc/PID/maps names it, also when its file was replaced since.
_LIBRARY: Final = r"/libvirt\.so\.0\.(\d+)\.(\d+)(?: \(deleted\))?\n"
_CREDENTIALS: Final = Struct("iII")

#: The programs that call for guests: as long as one of them is connected, a call may be in
#: progress.
_LIBVIRT: Final = ("libvirtd", "virtqemud", "virtxend")


def virtlockd_process() -> int:
    """The process of this user's virtlockd; 0 if there is none. Raises RefusedError if there are
    several."""
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            program = os.readlink(f"/proc/{entry}/exe").removesuffix(" (deleted)")
            if (
                os.path.basename(program).startswith("virtlockd")
                and os.stat(f"/proc/{entry}").st_uid == os.geteuid()
                and all(is_same_namespace(int(entry), kind) for kind in ("pid", "mnt"))
            ):
                found.append(int(entry))
    if len(found) > 1:
        pids = ", ".join(map(str, sorted(found)))
        raise RefusedError(f"several virtlockds run ({pids}): tell which one with --pid")
    return found[0] if found else 0


def is_same_namespace(pid: int, kind: str) -> bool:
    """Whether a process is in the same namespace as this one. Raises OSError."""
    return os.path.samefile(f"/proc/{pid}/ns/{kind}", f"/proc/self/ns/{kind}")


class Process:
    """A running virtlockd, seen from outside."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
        self.arguments: Final = [os.fsdecode(word) for word in words]

    @property
    def environment(self) -> dict[str, str]:
        """virtlockd's environment, with which the next program starts."""
        with open(f"/proc/{self.pid}/environ", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)

    @property
    def program(self) -> str:
        """The file that it executes at SIGUSR1; empty if unknown."""
        place = self.arguments[0]
        if "/" not in place:
            # As execvp(3) finds it.
            for directory in self.environment.get("PATH", os.defpath).split(":"):
                if os.access(os.path.join(directory, place), os.X_OK):
                    return os.path.realpath(os.path.join(directory, place))
            return ""
        return os.path.realpath(os.path.join(os.readlink(f"/proc/{self.pid}/cwd"), place))

    @property
    def release(self) -> tuple[int, int, int]:
        """The release of libvirt whose library it has loaded; zeros if unknown."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="replace") as file:
            found = re.search(_LIBRARY, file.read())
        if found is None:
            return 0, 0, 0
        major, minor = divmod(int(found[1]), 1000)
        return major, minor, int(found[2])

    def locked(self) -> dict[File, list[str]]:
        """The files that it has locked, with their paths."""
        return locked_by(self.pid, LOCK)

    def far_files(self, is_far: Callable[[str], bool]) -> list[str]:
        """The files that it has open where the kernel does not report what is locked, as on FUSE:
        virtlockd opens what it locks, and little else."""
        found = []
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with suppress(OSError):
                path = os.readlink(f"/proc/{self.pid}/fd/{fd}")
                if path.startswith("/") and not path.endswith((".pid", ".log")) and is_far(path):
                    found.append(path)
        return found

    def twice(self, far: Sequence[str]) -> Iterator[str]:
        """The locked files that it has open more than once, in words: the kernel reports a lock
        with only one of the descriptors, and none of those ``far``."""
        found: dict[tuple[int, int], list[str]] = {}
        for path, status in files_of(self.pid):
            found.setdefault((status.st_dev, status.st_ino), []).append(path)
        locked = {path for paths in self.locked().values() for path in paths}.union(far)
        for paths in found.values():
            if len(paths) > 1 and not locked.isdisjoint(paths):
                yield " and ".join(paths)

    def count(self, far: Sequence[str]) -> int:
        """How many locks it has."""
        locked = self.locked()
        known = {path for paths in locked.values() for path in paths}
        return len(locked) + len({*far} - known)

    def callers(self) -> Iterator[str]:
        """The connected programs that call for guests, in words."""
        pidfd = os.pidfd_open(self.pid)
        try:
            for fd in os.listdir(f"/proc/{self.pid}/fd"):
                caller = _caller(pidfd, int(fd))
                if caller:
                    with suppress(OSError):
                        program = os.path.basename(os.readlink(f"/proc/{caller}/exe"))
                        if program in _LIBVIRT:
                            yield f"{program} (pid {caller})"
        finally:
            os.close(pidfd)

    def wait_for_quiet(self) -> None:
        """Wait until no call is in progress: virtlockd would not answer it."""
        end = time.monotonic() + CALLS
        while callers := [*self.callers()]:
            if time.monotonic() > end:
                raise RefusedError(f"calls are in progress all the time: {', '.join(callers)}")
            time.sleep(LOOK / 10)


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _caller(pidfd: int, number: int) -> int:
    """The process at the other end of a process's descriptor; 0 if that is not a connection."""
    fd = _LIBC.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        return 0
    try:
        with socket.socket(fileno=fd) as connection:
            if connection.family != socket.AF_UNIX or connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                return 0
            return int(
                _CREDENTIALS.unpack(
                    connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                )[0]
            )
    except OSError:
        os.close(fd)
        return 0
