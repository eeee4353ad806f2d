"""The event loop: descriptors, timers and signals, in one thread.

A call takes microseconds, and the loop accounts for many of them. So the loop is only a table from
descriptors to functions, around epoll(7), whose cost does not grow with the number of idle clients.
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

#: How long to look out for the next event before sleeping, in seconds. libvirt asks for a guest's
#: disks one after the other: a client that has just been answered calls again, and waking up takes
#: longer than answering (``python -m benchmarks locks``: about twice as many calls a second).
_MOMENT: Final = 0.00005

#: How long calls that are due may take at a time, in seconds.
_SLICE: Final = 0.001

#: How long to wait if the system cannot report events, in seconds.
_REST: Final = 0.01

#: The longest wait, in seconds: epoll(7) counts milliseconds in 31 bits.
_DAY: Final = 86400.0


#: The signals that a daemon takes.
_SIGNALS: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def hold_signals() -> None:
    """Block the signals that a daemon takes, also beyond an exec: a signal during the start must
    not end the program."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def take_signals() -> None:
    """Take the signals, and those that came meanwhile."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class Timer:
    """A call at a later time; ``cancel`` prevents it."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Do not make the call."""
        self.callback = None


def _nothing() -> None:
    """Do nothing."""


class Loop:
    """Calls functions when something happens, until :meth:`stop` is called. ``afterwards`` is
    called after each round, before the loop looks for new events. An exception in one of these
    functions goes to ``on_error``; if that is not set, it ends the loop."""

    def __init__(self) -> None:
        self.afterwards: Callable[[], object] = _nothing
        self._epoll: Final = select.epoll()
        self._handlers: Final[dict[int, Handler]] = {}
        self._timers: Final[list[tuple[float, int, Timer]]] = []
        self._count: Final = itertools.count()
        self._running = False
        self._signals: Final[dict[int, Callable[[], object]]] = {}
        #: Called if a function that the loop has called raises an exception.
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
        """Stop watching ``fd``, which is still open."""
        if self._handlers.pop(fd, None) is not None:
            # A failure must not pass unnoticed: the kernel would keep reporting a file that is open
            # elsewhere, by a number that belongs to another file by then.
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
        """Handle events until :meth:`stop`."""
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
                # The event before it has closed this descriptor.
                handler = handlers.get(fd)
                if handler is not None:
                    handler(events)
            if timers and timers[0][0] <= monotonic():
                self._run_due()
            self.afterwards()

    def _next(self, wait: float | None) -> list[tuple[int, int]]:
        """The next events, within so many seconds."""
        try:
            return self._look() or self._epoll.poll(wait, _BATCH)
        except OSError:
            time.sleep(_REST)  # out of memory, for example: asking again loses nothing
            return []

    def _look(self) -> list[tuple[int, int]]:
        """The events that come at once or in a moment, without a sleep."""
        poll, monotonic, give_way = self._epoll.poll, time.monotonic, os.sched_yield
        ready = poll(0, _BATCH)
        if not ready:
            end = monotonic() + _MOMENT
            while not ready and monotonic() < end:
                give_way()  # the next caller may need this processor
                ready = poll(0, _BATCH)
        return ready

    def _run_due(self) -> None:
        """Make the calls that are due. After a while the others wait until descriptors had their
        turn."""
        begun = now = time.monotonic()
        while self._timers and self._timers[0][0] <= begun and now - begun < _SLICE:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()
                now = time.monotonic()

    def _on_signals(self, _: int) -> None:
        try:
            numbers = os.read(self._wake_read, 256)
        except OSError:
            return  # the data is read as soon as that is possible
        for number in dict.fromkeys(numbers):
            if number in self._signals:
                self._signals[number]()
