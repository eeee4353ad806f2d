"""What happens to a guest whose own connection has closed.

The connection lives as long as the guest's process. If it closes while the guest holds locks, the
guest has ended or is about to; it must not write any more. So it is made to end, and its locks are
let go when it has: not before, or another host could be writing while it still does.
"""

from __future__ import annotations

import os
from functools import partial
from select import EPOLLIN

from lockd import process
from lockd.journal import record
from lockd.remote import SilentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.daemon import Daemon
    from lockd.log import Log
    from lockd.loop import Timer

#: How long a guest may take to end when it is asked to, in seconds, before it is killed.
TERM_SECONDS: Final = 1.6

#: How long after that it is worth an error that it is still there, in seconds.
KILL_SECONDS: Final = 5.0


class Guests:
    """Those that are made to end, by pid, until their locks have been let go."""

    def __init__(self, daemon: Daemon, log: Log) -> None:
        self._daemon: Final = daemon
        self._log: Final = log
        self._dying: Final[dict[int, int]] = {}
        self._timers: Final[dict[int, Timer]] = {}

    def __bool__(self) -> bool:
        return bool(self._dying)

    def end(self, pid: int, started: int) -> None:
        """Make a guest end, and let its locks go then."""
        if pid in self._dying:
            return
        self._dying[pid] = started
        self._daemon.journal.write("dying", pid, started)
        fd = process.open_process(pid, started)
        if fd < 0:
            self._let_go(pid)
            return
        if process.has_ended(fd):
            os.close(fd)
            self._let_go(pid)
            return
        process.terminate(fd)
        self._daemon.loop.watch(fd, EPOLLIN, partial(self._ended, pid, fd))
        self._timers[pid] = self._daemon.loop.after(TERM_SECONDS, partial(self._kill, pid, fd))

    def _kill(self, pid: int, fd: int) -> None:
        self._log.warning(f"guest with pid {pid} does not end when asked to: killing it")
        process.kill(fd)
        self._timers[pid] = self._daemon.loop.after(KILL_SECONDS, partial(self._complain, pid))

    def _complain(self, pid: int) -> None:
        self._log.error(f"guest with pid {pid} cannot be killed: its locks stay")

    def _ended(self, pid: int, fd: int, _: int) -> None:
        self._timers.pop(pid).cancel()
        self._daemon.loop.unwatch(fd)
        os.close(fd)
        self._let_go(pid)
        self._daemon.after_call()

    def _let_go(self, pid: int) -> None:
        """It has ended. What is on a file system that is silent has to wait."""
        try:
            self._daemon.engine.release_all(pid)
        except SilentError as error:
            error.remote.wait(partial(self._let_go, pid))
            return
        del self._dying[pid]
        self._daemon.journal.write("dead", pid)
        self._daemon.check_idle()

    def records(self) -> list[str]:
        """Those that are made to end, for a new journal."""
        return [record("dying", pid, started) for pid, started in self._dying.items()]
