"""Runs work that takes turns with the loop: it has a thread of its own, and only one of them does
anything at a time. So nothing that they share needs a lock.

The loop waits while the work has its turn. The work makes those calls of the system that may take
any time :meth:`outside <Turns.outside>` its turn: if one takes longer than a moment, the loop goes
on, and the work has its next turn when the call has ended.
"""

from __future__ import annotations

import signal
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Lock
    from typing import Final, TypeVar

    from lockd.kernel.aside import Aside

    Result = TypeVar("Result")

#: How long the loop waits for a call that work makes outside its turn, in seconds. Most calls take
#: less.
_MOMENT: Final = 0.002


class Turns:
    """Gives work its turns. ``aside`` tells the loop that a call outside has ended."""

    def __init__(self, aside: Aside) -> None:
        self._aside: Final = aside
        self._idle: Final[list[_Worker]] = []
        self._workers: Final[dict[int, _Worker]] = {}

    def run(
        self,
        work: Callable[[], object],
        begin: Callable[[], object],
        end: Callable[[bool], object],
    ) -> None:
        """Do ``work``, of which the first turn is now. ``begin`` is called before each turn, and
        ``end`` after it, with whether the work is over. If no thread can be started, the loop waits
        for all of it. Raises what the work raises, here or in the loop."""
        try:
            worker = self._idle.pop() if self._idle else _Worker(self._workers)
        except RuntimeError:
            begin()
            try:
                work()
            finally:
                end(True)
            return
        worker.work, worker.begin, worker.end = work, begin, end
        self._give(worker)

    def outside(self, call: Callable[[], Result]) -> Result:
        """Make a call from work, during which the loop may go on. A thread without a turn makes
        the call alone."""
        from threading import get_ident

        worker = self._workers.get(get_ident())
        if worker is None or worker.is_outside:
            return call()
        worker.is_outside = True
        try:
            return call()
        finally:
            with worker.guard:
                worker.is_outside = False
                has_lost_its_turn, worker.is_late = worker.is_late, False
            if has_lost_its_turn:
                self._aside.post(partial(self._give, worker))
                worker.goes.acquire()

    def _give(self, worker: _Worker) -> None:
        """Give it a turn, and wait for the end of that."""
        worker.begin()
        worker.goes.release()
        while not worker.comes.acquire(timeout=_MOMENT):
            with worker.guard:
                if worker.is_outside:
                    worker.is_late = True
                    break
        else:
            error, worker.error = worker.error, None
            self._idle.append(worker)
            worker.end(True)
            if error is not None:
                raise error
            return
        worker.end(False)


class _Worker:
    """A thread. ``goes`` is released when it gets a turn, ``comes`` when its work is over. While
    ``is_outside``, it makes a call; ``is_late`` tells that the loop has gone on meanwhile."""

    work: Callable[[], object]
    begin: Callable[[], object]
    end: Callable[[bool], object]

    def __init__(self, workers: dict[int, _Worker]) -> None:
        from threading import Lock, Thread

        self.goes: Final = _taken(Lock())
        self.comes: Final = _taken(Lock())
        self.guard: Final = Lock()
        self.is_outside = False
        self.is_late = False
        self.error: BaseException | None = None
        thread = Thread(target=self._live, daemon=True)
        thread.start()
        assert thread.ident is not None
        workers[thread.ident] = self

    def _live(self) -> None:
        # Signals are for the loop.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            self.goes.acquire()
            try:
                self.work()
            except BaseException as error:  # noqa: BLE001 - it is raised in the loop
                self.error = error
            self.comes.release()


def _taken(lock: Lock) -> Lock:
    lock.acquire()
    return lock
