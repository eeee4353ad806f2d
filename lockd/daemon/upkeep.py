"""Work that a call need not wait for: each turn of the loop looks for it."""

from __future__ import annotations

import time

from lockd.kernel.reserve import fill, insist
from lockd.locks.idle import IDLE_FOR
from lockd.locks.visibility import VISIBLE_AFTER
from lockd.survival.kept import journal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.locks.engine import Engine
    from lockd.log import Log
    from lockd.survival.journal import Journal, Part
    from lockd.survival.keeper import Keeper

#: How long a released file stays open, in seconds. Until it is closed, its file system cannot be
#: unmounted.
_TEND_AFTER: Final = 1.0

#: How many of them are closed before clients have their turn.
_CLOSED_AT_ONCE: Final = 32

#: How long to wait before the keeper is tended that has given up, in seconds; each time twice as
#: long. Until it is well again, a crash would lose the locks.
_HEAL_AFTER: Final = 0.05

#: How often to look at the descriptions of guests with a disk that is not known yet, in seconds.
_DESCRIBED_AFTER: Final = 1.0

#: How often to ask the keeper of the descriptors whether it is awake, in seconds.
_ASK_EVERY: Final = 5.0

#: How long to leave to clients between the parts of a new journal, or of a new queue of the keeper,
#: and how long to wait before a journal is begun after the start or after a failure, in seconds.
_REST: Final = 0.001
_REWRITE_AFTER: Final = 1.0


class Upkeep:
    """Makes locks visible, removes the files of released locks, and removes their traces from the
    keeper and the journal. ``records`` are what a new journal begins with, ``parts`` what it has
    besides."""

    def __init__(
        self,
        loop: Loop,
        engine: Engine,
        keeper: Keeper,
        journal: Journal,
        records: Callable[[], Iterable[str]],
        parts: Callable[[], Iterable[Part]],
        log: Log,
    ) -> None:
        self._loop: Final = loop
        self._engine: Final = engine
        self._keeper: Final = keeper
        self._journal: Final = journal
        self._records: Final = records
        self._parts: Final = parts
        self._show_timer: Timer | None = None
        self._close_timer: Timer | None = None
        self._tend_timer: Timer | None = None
        self._queue_timer: Timer | None = None
        self._disks_timer: Timer | None = None
        self._heal_after = _HEAL_AFTER
        self._rewrite_at = time.monotonic() + _REWRITE_AFTER
        self._log: Final = log

    def look(self) -> None:
        """Do what is due now, and plan what is due soon."""
        engine = self._engine
        if self._show_timer is None and engine.visibility:
            self._show_timer = self._loop.after(VISIBLE_AFTER, self._show)
        if self._close_timer is None and engine.idle:
            self._close_timer = self._loop.after(IDLE_FOR, self._close_idle)
        if self._tend_timer is None and self._keeper.is_busy:
            self._tend_timer = self._loop.after(self._tend_after(), self._tend)
        if self._queue_timer is None and self._keeper.has_next_queue:
            self._queue_timer = self._loop.after(_REST, self._fill_queue)
        if self._disks_timer is None and engine.unknown:
            self._disks_timer = self._loop.after(_DESCRIBED_AFTER, self._look_for_disks)
        if self._journal.is_long:
            self._begin_rewriting()

    def _tend_after(self) -> float:
        if not self._keeper.lost:
            self._heal_after = _HEAL_AFTER
            return _TEND_AFTER
        after = self._heal_after
        self._heal_after = min(2 * after, _TEND_AFTER)
        return after

    def begin(self) -> None:
        """Begin the work that repeats."""
        fill()
        self._keeper.ask()
        self._loop.after(_ASK_EVERY, self.begin)

    def _begin_rewriting(self) -> None:
        """Begin a new journal. If that fails, the old one grows, and lockd tries again later."""
        if time.monotonic() < self._rewrite_at:
            return
        try:
            insist(lambda: self._journal.begin_next(self._records(), self._parts()))
        except OSError as error:
            self._put_off(error.strerror or str(error))
        else:
            self._rewrite()

    def _rewrite(self) -> None:
        """Write a part of the new journal, and the others after a rest."""
        number = self._journal.number
        try:
            self._journal.go_on(self.keep_journal)
        except OSError as error:
            self._put_off(error.strerror or str(error))
            return
        if self._journal.has_next:
            self._loop.after(_REST, self._rewrite)
        elif self._journal.number != number:
            self._keeper.forget()
        else:
            self._put_off("a record had no room in the new one")

    def _put_off(self, why: str) -> None:
        self._rewrite_at = time.monotonic() + _REWRITE_AFTER
        self._log.error(f"the journal cannot be rewritten and grows: {why}")

    def keep_journal(self) -> None:
        """Give the journal to the keeper."""
        self._keeper.keep(self._journal.fd, journal_name(self._journal.number))

    def _show(self) -> None:
        due = self._engine.visibility.show()
        self._show_timer = None if due is None else self._loop.after(due, self._show)

    def _close_idle(self) -> None:
        self._close_timer = None
        if self._engine.idle.close(time.monotonic() - IDLE_FOR, _CLOSED_AT_ONCE):
            self._close_timer = self._loop.after(_REST, self._close_idle)

    def _look_for_disks(self) -> None:
        self._disks_timer = None
        self._engine.unknown.look()

    def _fill_queue(self) -> None:
        self._queue_timer = None
        self._keeper.go_on()

    def _tend(self) -> None:
        self._tend_timer = None
        self._keeper.tend()
