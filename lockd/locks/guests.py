"""Ends guests whose own connection has closed.

The connection lives as long as the guest's process. If it closes while the guest holds locks, the
guest has ended or is about to, and it must not write. So lockd ends its process, and releases its
locks afterwards. If it released them before, another host could write while the guest still does.
"""

from __future__ import annotations

import os
from functools import partial
from select import EPOLLIN

from lockd.events import HUNG_UP, Event
from lockd.kernel import process
from lockd.kernel.reserve import insist
from lockd.locks.remote import SilentError
from lockd.locks.space import Owner
from lockd.survival.records import guests as records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.locks.engine import Engine
    from lockd.locks.table import Acquisition
    from lockd.log import Log
    from lockd.survival.journal import Journal
    from lockd.survival.records.guests import Left

    #: A process, whatever becomes of its pid: that, and when it was started.
    Process = tuple[int, int]

#: How long a guest may take to end when it is asked to, in seconds, before it is killed.
TERM_SECONDS: Final = 1.6

#: How long after that to log an error if it still runs, and to try again, in seconds.
KILL_SECONDS: Final = 5.0

#: How long to wait before looking again for a process that could not be looked up, in seconds.
_AGAIN: Final = 0.2


class Guests:
    """The guests that lockd ends, by pid and start time, until it has released their locks."""

    def __init__(self, engine: Engine, loop: Loop, journal: Journal, log: Log) -> None:
        self._engine: Final = engine
        self._loop: Final = loop
        self._journal: Final = journal
        self._log: Final = log
        #: Guests that may still run have a timer.
        self._dying: Final[dict[Process, Timer | None]] = {}
        #: The locks of ended guests that are not released yet.
        self._left: Final[dict[Process, deque[Acquisition]]] = {}
        #: Why guests could not be ended.
        self._problems: Final[dict[Process, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._dying)

    def on_gone(self, guest: Owner, started: int) -> None:
        """The connection of a guest has closed: end the guest, as it must not outlive its locks."""
        if self._engine.table.holds(guest.pid):
            message = f"{guest} has closed its connection while it holds locks"
            self._log.event(Event(HUNG_UP, message, guest.fields()))
            self.end(guest.pid, started)

    def end(self, pid: int, started: int, patience: float = TERM_SECONDS) -> None:
        """End a guest, and release its locks then; it is killed after ``patience`` seconds."""
        guest = pid, started
        if guest in self._dying:
            return
        self._dying[guest] = None
        self._journal.append(_dying(guest, ()))
        self._make_end(guest, patience)

    def _make_end(self, guest: Process, patience: float) -> None:
        """Find the process, and ask it to end. Until it is known to have ended, its locks stay."""
        fd = -1
        try:
            fd = insist(partial(process.open_process, *guest))
            if fd >= 0:
                # If it has ended already, that is what is seen first.
                self._loop.watch(fd, EPOLLIN, partial(self._ended, guest, fd))
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            self._say(guest, f"cannot be looked up ({error.strerror}): its locks stay")
            self._look_again(_AGAIN, guest, partial(self._make_end, guest, patience))
            return
        if fd < 0 or self._has_ended(fd):
            if fd >= 0:
                self._loop.unwatch(fd)
                os.close(fd)
            self._let_go(guest, self._engine.table.held_by(*guest))
            return
        self._send(guest, fd, process.terminate)
        self._look_again(patience, guest, partial(self._kill, guest, fd))

    def _has_ended(self, fd: int) -> bool:
        try:
            return process.has_ended(fd)
        except OSError:
            return False  # its end is watched for

    def _look_again(self, seconds: float, guest: Process, then: Callable[[], object]) -> None:
        self._dying[guest] = self._loop.after(seconds, then)

    def _kill(self, guest: Process, fd: int) -> None:
        if guest not in self._problems:
            self._log.warning(f"guest with pid {guest[0]} does not end when asked to: killing it")
        self._send(guest, fd, process.kill)
        self._look_again(KILL_SECONDS, guest, partial(self._complain, guest, fd))

    def _send(self, guest: Process, fd: int, signal: Callable[[int], object]) -> None:
        try:
            signal(fd)
        except OSError as error:
            self._say(guest, f"cannot be ended ({error.strerror}): its locks stay")

    def _complain(self, guest: Process, fd: int) -> None:
        self._say(guest, "cannot be killed: its locks stay")
        self._kill(guest, fd)

    def _say(self, guest: Process, problem: str) -> None:
        """Log what is wrong with a guest, once."""
        if self._problems.get(guest) != problem:
            self._log.error(f"guest with pid {guest[0]} {problem}")
        self._problems[guest] = problem

    def problems(self) -> Iterator[tuple[str, str]]:
        """The guests that could not be ended, each with the reason."""
        for guest, problem in self._problems.items():
            yield f"guest with pid {guest[0]}", problem

    def _ended(self, guest: Process, fd: int, _: int) -> None:
        if not self._has_ended(fd):
            return  # a report without a cause; the kernel reports again
        timer = self._dying[guest]
        if timer is not None:
            timer.cancel()
        self._loop.unwatch(fd)
        os.close(fd)
        self._let_go(guest, self._engine.table.held_by(*guest))

    def _let_go(self, guest: Process, held: deque[Acquisition]) -> None:
        """The guest has ended: release its locks. Those on a silent file system have to wait; by
        then another process may have the pid, and locks of its own."""
        try:
            self._engine.release_all(held)
        except SilentError as error:
            if guest not in self._left:
                self._left[guest] = held
                self._journal.append(_dying(guest, held))
            error.remote.wait(partial(self._let_go, guest, held))
            return
        self._left.pop(guest, None)
        self._problems.pop(guest, None)
        del self._dying[guest]
        self._journal.append(records.dead(*guest))

    def records(self) -> list[str]:
        """The records of guests that lockd ends, for a new journal."""
        return [_dying(guest, self._left.get(guest, ())) for guest in self._dying]

    def restore(self, pid: int, started: int, left: Sequence[Left]) -> None:
        """Take over a guest that lockd ends, or that has ended, and what is left to release."""
        if not left:
            self.end(pid, started)
            return
        guest = pid, started
        if guest in self._dying:
            return  # its connection was found closed: all that it has is released already
        held = self._engine.table.acquisitions(
            (directory, name, Owner.from_record(owner)) for directory, name, owner, *_ in left
        )
        self._dying[guest], self._left[guest] = None, held
        self._let_go(guest, held)


def _dying(guest: Process, left: Iterable[Acquisition]) -> str:
    held = [(each.space.directory, each.name, owner.record()) for each, owner in left]
    return records.dying(*guest, held)
