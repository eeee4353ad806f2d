"""The end of an owner is the end of its locks, also if no connection of its own tells of it.

A guest that was started while nothing was locked has no connection: libvirt acts for it, by
connections that come and go. When its process has ended, what it holds protects nothing.
So lockd watches that process, and knows it by its start time, too: another one may get its pid.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from select import EPOLLIN

from lockd.counted import counted
from lockd.events import OWNER_ENDED, Event
from lockd.kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.locks.engine import Engine
    from lockd.locks.guests import Guests
    from lockd.log import Log

    #: A process, whatever becomes of its pid: that, and when it was started.
    Process = tuple[int, int]

#: How long an owner has held something before its process is watched, in seconds: a lock that is
#: released sooner, as when libvirt pauses a guest, costs nothing.
_WATCH_AFTER: Final = 0.05

#: After how many seconds to look again for a process that could not be watched, and how often to
#: stop watching processes that hold no locks.
_AGAIN: Final = 1.0
_SWEEP: Final = 10.0

#: How many processes are looked at before clients have their turn, and for how long these have it,
#: in seconds.
_AT_ONCE: Final = 32
_REST: Final = 0.001


class Owners:
    """Watches the processes of owners. ``is_guarded`` tells whether the owner with a pid has a
    connection of its own; then :class:`~lockd.locks.guests.Guests` acts when that closes."""

    def __init__(
        self,
        engine: Engine,
        guests: Guests,
        loop: Loop,
        is_guarded: Callable[[int], bool],
        log: Log,
    ) -> None:
        self._engine: Final = engine
        self._guests: Final = guests
        self._loop: Final = loop
        self._is_guarded: Final = is_guarded
        self._log: Final = log
        self._watched: Final[dict[Process, int]] = {}
        self._timer: Timer | None = None
        self._sweeping = False

    def look(self) -> None:
        """Begin to watch owners that are not watched yet."""
        if self._timer is None and self._engine.new_owners:
            self._timer = self._loop.after(_WATCH_AFTER, self._watch_new)

    def _watch_new(self) -> None:
        self._timer = None
        new = [*islice(self._engine.new_owners, _AT_ONCE)]
        for owner in new:
            del self._engine.new_owners[owner]
            pid, _ = owner
            is_free = owner not in self._watched and not self._is_guarded(pid)
            if is_free and self._engine.table.holds(pid):
                self._watch(owner)
        if self._engine.new_owners:
            self._timer = self._loop.after(_REST, self._watch_new)
        if self._watched and not self._sweeping:
            self._sweeping = True
            self._loop.after(_SWEEP, self._begin_sweep)

    def _watch(self, owner: Process) -> None:
        fd = -1
        try:
            fd = process.open_process(*owner)
            if fd >= 0:
                self._loop.watch(fd, EPOLLIN, partial(self._on_end, owner))
                self._watched[owner] = fd
                return
        except OSError:
            if fd >= 0:
                os.close(fd)
            self._loop.after(_AGAIN, partial(self._watch_again, owner))
            return
        self._let_go(owner)

    def _watch_again(self, owner: Process) -> None:
        self._engine.new_owners[owner] = None

    def _on_end(self, owner: Process, _: int) -> None:
        self._forget(owner)
        self._let_go(owner)

    def _let_go(self, owner: Process) -> None:
        """An owner has ended. If it has a connection, that closes too, and its locks are released
        then."""
        pid, started = owner
        if self._is_guarded(pid):
            return
        held = self._engine.table.held_by(pid, started)
        if held:
            resource, who = held[0]
            message = (
                f"{who} has ended and had no connection of its own: released"
                f" {counted(len(held), 'lock')}, such as {resource.path}"
            )
            self._log.event(Event(OWNER_ENDED, message, who.fields()))
            self._guests.end(pid, started)

    def _forget(self, owner: Process) -> None:
        fd = self._watched.pop(owner)
        self._loop.unwatch(fd)
        os.close(fd)

    def _begin_sweep(self) -> None:
        self._sweep(iter([*self._watched]))

    def _sweep(self, left: Iterator[Process]) -> None:
        """Stop watching processes that hold no locks."""
        some = [*islice(left, _AT_ONCE)]
        for owner in some:
            if owner in self._watched and not self._engine.table.held_by(*owner):
                self._forget(owner)
        if some:
            self._loop.after(_REST, partial(self._sweep, left))
            return
        self._sweeping = bool(self._watched)
        if self._sweeping:
            self._loop.after(_SWEEP, self._begin_sweep)
