"""Gathers evidence on this host: which lock daemon runs, what is locked, and by which process."""

from __future__ import annotations

import os
import re

from lockcfg.doctor.lockd_answers import Answers, NoLockdError
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    #: The identity of a file: device (major and minor, in hex) and inode, as the kernel lists
    #: locks.
    File = tuple[str, int]

#: A lock in /proc/PID/fdinfo: its mode, the file, the first byte.
_LOCK: Final = re.compile(
    r"^lock:\s+\d+: (?:OFDLCK|POSIX) +ADVISORY +(READ|WRITE) +-?\d+ +([0-9a-f]+:[0-9a-f]+):(\d+)"
    r" (\d+) ",
    re.M,
)

#: The bytes of an image that QEMU locks for itself.
_QEMU_BYTES: Final = range(100, 204)


class Holding(Frozen):
    """A held lock: its guest (name and pid; empty and 0 if the daemon does not say), ``since`` when
    (seconds since the epoch, 0 if unknown), and what is wrong with it, or empty."""

    __slots__ = ("guest", "pid", "problem", "shared", "since")

    def __init__(self, guest: str, pid: int, since: float, problem: str, *, shared: bool) -> None:
        self.guest: Final = guest
        self.pid: Final = pid
        self.since: Final = since
        self.problem: Final = problem
        self.shared: Final = shared


class Daemon(Frozen):
    """A lock daemon that runs: ``lockd`` or ``virtlockd``; when it ``started`` (seconds since the
    epoch, None if unknown), how many descriptors it has and may have (0: unknown)."""

    __slots__ = ("descriptors", "limit", "name", "pid", "started")

    def __init__(
        self, name: str, pid: int, started: float | None, descriptors: int, limit: int
    ) -> None:
        self.name: Final = name
        self.pid: Final = pid
        self.started: Final = started
        self.descriptors: Final = descriptors
        self.limit: Final = limit


class Held:
    """All held locks. ``by_name`` is lockd's list, by lockspace and resource; ``by_file`` and
    ``by_path`` are the kernel's lists of virtlockd's locks. ``blind`` says why neither is known, or
    is empty."""

    def __init__(self) -> None:
        self.by_name: Final[dict[tuple[str, str], list[Holding]]] = {}
        self.by_file: Final[dict[File, Holding]] = {}
        self.by_path: Final[dict[str, Holding]] = {}
        self.blind = ""


class Evidence:
    """``daemons`` are the lock daemons that run, ``answers`` is lockd's own report, None if
    virtlockd or no daemon holds the locks; ``unreachable`` says why no daemon answers at the
    socket."""

    def __init__(self, address: str, daemons: Sequence[Daemon]) -> None:
        self.daemons: Final = daemons
        self.answers: Answers | None = None
        self.unreachable = ""
        self.held: Final = Held()
        try:
            self.answers = Answers(address)
        except NoLockdError as error:
            if not error.other:
                self.unreachable = str(error)
        if self.answers is not None:
            self._from_lockd(self.answers)
        else:
            self._from_kernel()

    @property
    def in_charge(self) -> str:
        """The daemon that holds the locks: ``lockd``, ``virtlockd`` or empty."""
        if self.answers is not None:
            return "lockd"
        return "virtlockd" if any(each.name == "virtlockd" for each in self.daemons) else ""

    def _from_lockd(self, answers: Answers) -> None:
        for lock in answers.locks:
            holdings = self.held.by_name.setdefault((lock["lockspace"], lock["resource"]), [])
            for owner in lock["owners"]:
                holdings.append(
                    Holding(
                        owner["guest"],
                        owner["pid"],
                        lock["since"],
                        lock["problem"],
                        shared=lock["mode"] == "shared",
                    )
                )

    def _from_kernel(self) -> None:
        for daemon in self.daemons:
            try:
                for file, path, first, shared in locks_of(daemon.pid):
                    if first == 0:
                        holding = Holding("", 0, 0, "", shared=shared)
                        self.held.by_file[file] = self.held.by_path[path] = holding
            except OSError as error:
                self.held.blind = f"cannot read the locks of {daemon.name}: {error.strerror}"


def locks_of(pid: int) -> Iterator[tuple[File, str, int, bool]]:
    """The locks that a process has: on which file and path, from which byte, and whether shared.
    Raises OSError."""
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as file:
                text = file.read()
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        for lock in _LOCK.finditer(text):
            yield (lock[2], int(lock[3])), path, int(lock[4]), lock[1] == "READ"


def image_locks(pid: int) -> set[File]:
    """The files that a guest's QEMU has locked for itself; empty if that cannot be seen."""
    try:
        return {file for file, _, first, _ in locks_of(pid) if first in _QEMU_BYTES}
    except OSError:
        return set()


def file_at(path: str) -> File | None:
    """The identity of the file at a path; None if there is none, or if it cannot be seen."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}", status.st_ino


def daemons_of(found: Sequence[Mapping[str, object]], address: str) -> list[Daemon]:
    """The lock daemons of this host among those that the collector has found: those that see the
    same admin socket at ``address`` as this process. The others belong to a container."""
    daemons = []
    for each in found:
        name, pid, started = each["name"], each["pid"], each["started"]
        if name in ("lockd", "virtlockd") and isinstance(pid, int) and _is_here(pid, address):
            descriptors, limit = _descriptors(pid)
            when = started if isinstance(started, (int, float)) else None
            daemons.append(Daemon(str(name), pid, when, descriptors, limit))
    return daemons


def _is_here(pid: int, address: str) -> bool:
    """Whether a process sees the same file at a path as this process."""
    for path in (address, os.path.dirname(address)):
        try:
            ours = os.stat(path)
        except OSError:
            continue
        try:
            return os.path.samestat(ours, os.stat(f"/proc/{pid}/root{path}"))
        except OSError:
            return False
    return False


def _descriptors(pid: int) -> tuple[int, int]:
    import resource

    try:
        count = len(os.listdir(f"/proc/{pid}/fd"))
        return count, resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except OSError:
        return 0, 0
