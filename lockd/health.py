"""Looks at every lock again and again: is it still on the file of that name, and still ours?

A lock file that somebody removes takes its lock with it, and a file system between hosts can lose
a lock and tell nobody. Either is found here, said, and mended if nobody else was faster.
"""

from __future__ import annotations

import os
import time
from functools import partial

from lockd import filelock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockd.daemon import Daemon
    from lockd.log import Log
    from lockd.space import Resource

#: How often every lock is looked at, in seconds, where nothing else is said.
INTERVAL: Final = 10.0

#: How long looking may take at a time, in seconds, before clients have their turn again.
_SLICE: Final = 0.002
_REST: Final = 0.005


class Health:
    """The rounds through all locks, one every ``interval`` seconds; none where that is 0."""

    def __init__(self, daemon: Daemon, interval: float, log: Log) -> None:
        self._daemon: Final = daemon
        self._interval: Final = interval
        self._log: Final = log
        if interval > 0:
            daemon.loop.after(interval, self._begin)

    def _begin(self) -> None:
        self._go_on(iter([*self._daemon.engine.resources()]), time.monotonic())

    def _go_on(self, left: Iterator[Resource], begun: float) -> None:
        until = time.monotonic() + _SLICE
        for resource in left:
            if resource.owners:
                self.check(resource)
            if time.monotonic() > until:
                self._daemon.loop.after(_REST, partial(self._go_on, left, begun))
                return
        wait = begun + self._interval - time.monotonic()
        self._daemon.loop.after(max(wait, _REST), self._begin)
        self._daemon.after_call()

    def check(self, resource: Resource) -> None:
        """Look at one lock, mend what can be mended, and say what is wrong."""
        engine = self._daemon.engine
        try:
            there = engine.is_in_place(resource)
            problem = "" if there else self._mend(resource)
            if there and not engine.renew(resource):
                problem = (
                    "it was lost with the daemon before this one, and somebody else has it now"
                    if resource.lock.posix
                    else "the file system has lost the lock, and another host has it now"
                )
        except OSError as error:
            problem = f"the file system does not answer for it: {error.strerror}"
        if problem and problem != resource.problem:
            owners = " and ".join(map(str, resource.owners))
            self._log.error(
                f"DISK IN DANGER: the lock {resource.path} of {owners} is not safe: {problem}"
            )
        elif resource.problem and not problem:
            self._log.warning(f"the lock {resource.path} is safe again")
        resource.problem = problem

    def _mend(self, resource: Resource) -> str:
        """What is wrong with a lock whose file is not at its name, if it cannot be mended."""
        gone = "replaced" if os.path.lexists(resource.path) else "removed"
        if not resource.create:
            return f"its file was {gone}; another guest can lock the one that has that name"
        try:
            self._daemon.engine.retake(resource)
        except filelock.HeldError:
            return f"its file was {gone}, and somebody else has locked the new one"
        except filelock.VanishedError:
            return f"its file was {gone}, and is again and again"
        except FileNotFoundError:
            # Not made again: what was there may have been a mounted file system.
            return f"its file was {gone}, and with it {os.path.dirname(resource.path)}"
        self._log.error(f"the lock file {resource.path} was {gone} while it was held: locked anew")
        return ""
