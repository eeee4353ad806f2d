"""The event loop: descriptors, timers and signals, in one thread.

A call takes microseconds, and the loop is a good part of them. So it is no more than a table from
descriptors to functions around epoll(7), whose cost does not grow with the number of idle clients.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    #: What is called with the events (``select.EPOLL*``) of a descriptor.
    Handler = Callable[[int], object]

#: How many descriptors are looked after before the timers are looked at again.
_BATCH: Final = 64

#: How long to look out for the next event before sleeping, in seconds. A guest's disks are asked
#: for one after the other: who has just been answered calls again, and to be woken takes longer
#: than to answer (``python -m benchmarks locks``: about twice as many calls a second).
_MOMENT: Final = 0.00005

#: How long to wait where the system cannot say what happens, in seconds.
_REST: Final = 0.01

#: The longest wait, in seconds: epoll(7) counts milliseconds in 31 bits.
_DAY: Final = 86400.0


#: What a daemon is told by signals.
_SIGNALS: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def hold_signals() -> None:
    """Have the kernel hold the signals that a daemon takes, also beyond an exec: one that comes
    while the program starts must not end it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def take_signals() -> None:
    """Take the signals, and those that came meanwhile."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class Timer:
    """Something to be done at a time; ``cancel`` has it not done."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Forget about it."""
        self.callback = None


def _nothing() -> None:
    """What is done where there is nothing to do."""


class Loop:
    """Calls functions when something happens, until :meth:`stop` is called. ``afterwards`` is
    called each time that some of it has been done, before the next is looked for. What one of them
    raises is for ``on_error``, if that is set, and ends the loop if not."""

    def __init__(self) -> None:
        self.afterwards: Callable[[], object] = _nothing
        self._epoll: Final = select.epoll()
        self._handlers: Final[dict[int, Handler]] = {}
        self._timers: Final[list[tuple[float, int, Timer]]] = []
        self._count: Final = itertools.count()
        self._running = False
        self._signals: Final[dict[int, Callable[[], object]]] = {}
        #: What is called when something that was called here raises an exception.
        self.on_error: Callable[[Exception], object] | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake_read, select.EPOLLIN, self._on_signals)

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call ``handler`` when one of ``events`` happens to ``fd``."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Look for other events of ``fd`` from now on."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Look no more at ``fd``, which is still open."""
        if self._handlers.pop(fd, None) is not None:
            # If this fails it must not pass unnoticed: the kernel would go on telling of what is
            # still open elsewhere, by a number that is another's by then.
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` once, in so many seconds."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), timer))
        return timer

    def on_signal(self, number: int, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the process gets a signal."""
        self._signals[number] = callback
        # The number goes through the pipe; the handler has to be there for that.
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(number, lambda *_: None)

    def stop(self) -> None:
        """Have :meth:`run` return."""
        self._running = False

    def run(self) -> None:
        """Look after everything until :meth:`stop`."""
        self._running = True
        while self._running:
            try:
                self._run()
            except Exception as error:
                if self.on_error is None:
                    raise
                self.on_error(error)

    def _run(self) -> None:
        handlers, timers = self._handlers, self._timers
        monotonic = time.monotonic
        while self._running:
            wait = None
            if timers:
                # A little more than the time left: epoll would wake us a millisecond early.
                wait = min(_DAY, max(0.0, timers[0][0] - monotonic() + 0.001))
            for fd, events in self._next(wait):
                # One that was closed by what happened to another just now.
                handler = handlers.get(fd)
                if handler is not None:
                    handler(events)
            if timers and timers[0][0] <= monotonic():
                self._run_due()
            self.afterwards()

    def _next(self, wait: float | None) -> list[tuple[int, int]]:
        """What happens next, within so many seconds."""
        try:
            return self._look() or self._epoll.poll(wait, _BATCH)
        except OSError:
            time.sleep(_REST)  # out of memory, say: nothing is lost by asking once more
            return []

    def _look(self) -> list[tuple[int, int]]:
        """What happens at once or in a moment, without a sleep."""
        poll, monotonic, give_way = self._epoll.poll, time.monotonic, os.sched_yield
        ready = poll(0, _BATCH)
        if not ready:
            end = monotonic() + _MOMENT
            while not ready and monotonic() < end:
                give_way()  # whoever is to call next may need this processor
                ready = poll(0, _BATCH)
        return ready

    def _run_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def _on_signals(self, _: int) -> None:
        try:
            numbers = os.read(self._wake_read, 256)
        except OSError:
            return  # what is there is read when it can be
        for number in dict.fromkeys(numbers):
            if number in self._signals:
                self._signals[number]()
