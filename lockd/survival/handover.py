"""From one process of the daemon to the next. After a crash the service manager hands over what it
kept; an upgrade uses exec, which keeps the descriptors open. A daemon that has lost its supervisor
becomes one, also by exec, and the next daemon is its child.

In each case the journal describes the descriptors.
"""

from __future__ import annotations

import json
import os
import sys

from lockd.kernel.loop import hold_signals, take_signals
from lockd.survival.journal import Journal, JournalError
from lockd.survival.kept import is_journal, is_queue, journal_name
from lockd.survival.passed import inherited, with_queued
from lockd.survival.records import JournalState
from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence
    from typing import Final

#: The variable that tells a process after an exec which descriptor is the journal's.
_VARIABLE: Final = "LOCKD_JOURNAL"

#: The variable that tells a supervisor after an exec which descriptors to keep.
_KEPT: Final = "LOCKD_KEPT"

#: The variable that tells a daemon the pid of lockd's supervisor, under which it runs.
SUPERVISED: Final = "LOCKD_SUPERVISED"

#: The variable that tells a daemon the pids of those before it that were killed and have not ended.
ENDING: Final = "LOCKD_ENDING"

#: The variable that tells a process that was the supervisor that it is the daemon now, and which
#: virtlockd must take its place.
HANDS_BACK: Final = "LOCKD_HANDS_BACK"

#: The variable that tells it which descriptor ends the process that would start lockd again if this
#: one ended before.
GUARD: Final = "LOCKD_GUARD"


class Inheritance:
    """What a process has from the previous one: descriptors by name, the queues that they are kept
    in, and the journal, or None if there was no previous process. ``ending`` are the pids of
    previous ones that were killed, and that the kernel may not have let end yet. ``in_place`` tells
    that this process was the previous one."""

    def __init__(
        self, fds: dict[str, int], journal: Journal | None, *, in_place: bool = False
    ) -> None:
        self.queues: Final = {name: fds.pop(name) for name in [*fds] if is_queue(name)}
        self.fds: Final = fds
        self.journal: Final = journal
        self.ending: Sequence[int] = ()
        self.in_place: Final = in_place
        self._state: JournalState | None = None

    def kept(self) -> dict[str, int]:
        """All that the service manager has kept, with the journal."""
        journal = self.journal
        if journal is None:
            return self.fds
        return {**self.fds, journal_name(journal.number): journal.fd}

    def state(self) -> JournalState:
        """The previous process's state, from the journal, which is parsed once. Raises
        :class:`JournalError`."""
        if self._state is None:
            self._state = JournalState(self.journal.read() if self.journal is not None else ())
        return self._state

    def take_state(self) -> JournalState:
        """The same for the last time: it takes much memory."""
        state, self._state = self.state(), None
        return state


def ending(environment: MutableMapping[str, str]) -> list[int]:
    """The pids of the daemons before this one that have not ended."""
    return [int(pid) for pid in environment.pop(ENDING, "").split(",") if pid]


def guard(environment: MutableMapping[str, str]) -> int:
    """The descriptor that ends the process which watches over this one; -1 if there is none."""
    pid, _, fd = environment.pop(GUARD, "").partition(":")
    if pid != str(os.getpid()) or not fd.isdecimal():
        return -1
    os.set_inheritable(int(fd), False)
    return int(fd)


def is_from_lockd(environment: Mapping[str, str]) -> bool:
    """Whether another lockd has started this process, or was this process."""
    return not environment.keys().isdisjoint({_VARIABLE, _KEPT, SUPERVISED, HANDS_BACK})


def goes_on_in_place(environment: Mapping[str, str]) -> bool:
    """Whether this very process was a lockd before, and has its descriptors."""
    return environment.get(_VARIABLE, "").partition(":")[0] == str(os.getpid())


def receive(environment: MutableMapping[str, str]) -> Inheritance:
    """What this process has from the previous one. Raises :class:`JournalError`."""
    is_in_place = goes_on_in_place(environment)
    fd = environment.pop(_VARIABLE, "").partition(":")[2]
    if is_in_place and fd.isdecimal():
        return _received_in_place(int(fd), environment)
    return _inheritance(inherited(environment))


def inheritance_of(given: dict[str, int]) -> Inheritance:
    """What this process has from the previous one, if its supervisor has given it these
    descriptors. Raises :class:`JournalError`, OSError."""
    return _inheritance(with_queued(given))


def _inheritance(fds: dict[str, int]) -> Inheritance:
    journals = sorted(int(name[1:], 16) for name in fds if is_journal(name))
    if not journals:
        return Inheritance(fds, None)
    number = journals[-1]
    return Inheritance(fds, Journal(fds.pop(journal_name(number)), number))


def _received_in_place(fd: int, environment: MutableMapping[str, str]) -> Inheritance:
    inherited(environment)  # this has what was passed to the very first process
    journal = Journal(fd)
    last = journal.last()
    if not last.startswith(b'["descriptors"'):
        raise JournalError("the journal does not end as it does before an exec")
    _, journal.number, fds = json.loads(last)
    return Inheritance(fds, journal, in_place=True)


def in_place(journal: Journal, fds: Mapping[str, int], command: list[str], manager: str) -> None:
    """Replace this process by ``command``, which takes over; returns only by raising OSError.

    ``manager`` is the address of the service manager, empty if there is none: a process that was
    virtlockd may not have it in its environment.
    """
    journal.append(record("descriptors", journal.number, dict(fds)))
    environment = {**os.environ, _VARIABLE: f"{os.getpid()}:{journal.fd}"}
    if manager:
        environment["NOTIFY_SOCKET"] = manager
    _become(command, environment, (*fds.values(), journal.fd))


def to_supervisor(fds: Mapping[str, int], command: list[str]) -> None:
    """Replace this process by a supervisor that keeps these descriptors, and whose daemon takes
    over as after a crash; returns only by raising OSError."""
    environment = {**os.environ, _KEPT: json.dumps([os.getpid(), dict(fds)])}
    for name in (SUPERVISED, "NOTIFY_SOCKET"):
        environment.pop(name, None)
    _become(command, environment, fds.values())


def _become(command: list[str], environment: dict[str, str], fds: Iterable[int]) -> None:
    """Replace this process, and leave descriptors open; returns only by raising OSError."""
    for fd in fds:
        os.set_inheritable(fd, True)
    hold_signals()
    try:
        os.execve(command[0], command, environment)
    finally:
        take_signals()


def kept_for_supervisor(environment: MutableMapping[str, str]) -> dict[str, int]:
    """What :func:`to_supervisor` has handed to this process; empty if it has not."""
    text = environment.pop(_KEPT, "")
    if not text:
        return {}
    pid, fds = json.loads(text)
    if pid != os.getpid():
        return {}
    for fd in fds.values():
        os.set_inheritable(fd, False)
    return dict(fds)


def command_line() -> list[str]:
    """The command that started this process, in a form that works in any directory."""
    arguments = [*sys.orig_argv]
    arguments[0] = sys.executable
    return [
        os.path.abspath(each) if each == sys.argv[0] and os.path.exists(each) else each
        for each in arguments
    ]
