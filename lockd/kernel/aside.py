"""Runs work that may take any time in threads, so that the loop goes on."""

from __future__ import annotations

import os
import signal
from collections import deque
from functools import partial
from select import EPOLLIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from lockd.kernel.loop import Loop


def apart(work: Callable[[], object]) -> None:
    """Do ``work`` in a thread of its own, for which nothing waits; now, if no thread can be
    started."""
    if _start(work):
        work()


def _start(work: Callable[[], object]) -> str:
    """Begin work in a thread of its own. If no thread can be started, return the reason as text."""
    import threading

    try:
        threading.Thread(target=_without_signals, args=(work,), daemon=True).start()
    except RuntimeError as error:
        return str(error)
    return ""


def _without_signals(work: Callable[[], object]) -> None:
    # They are for the loop.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    work()


class Aside:
    """Runs functions aside from ``loop``."""

    def __init__(self, loop: Loop) -> None:
        self._bell: Final = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._over: Final[deque[Callable[[], object]]] = deque()
        loop.watch(self._bell, EPOLLIN, self._on_over)

    def run(self, work: Callable[[], object], then: Callable[[], object]) -> str:
        """Do ``work`` in a thread of its own, and then ``then`` in the loop. If no thread can be
        started, do only ``then``, and return the reason as text."""
        error = _start(partial(self._work, work, then))
        if error:
            self.post(then)
        return error

    def _work(self, work: Callable[[], object], then: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self.post(then)

    def post(self, callback: Callable[[], object]) -> None:
        """Have the loop call something soon; any thread may ask for it."""
        self._over.append(callback)
        os.eventfd_write(self._bell, 1)

    def _on_over(self, _: int) -> None:
        os.eventfd_read(self._bell)
        try:
            while self._over:
                self._over.popleft()()
        finally:
            if self._over:
                os.eventfd_write(self._bell, 1)
