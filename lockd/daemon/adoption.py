"""``--adopt``: take, without being told, the locks of guests that run without them.

That is what ``lockd adopt --all`` does, in a process of its own: here it is only started, when
the daemon starts, and when libvirtd does, which makes its lockspaces then.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from select import EPOLLIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.loop import Loop, Timer
    from lockd.log import Log

#: How long to wait until libvirtd has made all of its lockspaces, in seconds.
_MOMENT: Final = 1.0

#: How much is read of what it says, in bytes.
_MOST_SAID: Final = 4096

#: The exit status of what could not be done at all.
_FAILED: Final = 3


class Adoption:
    """Adopts, one process at a time; ``socket`` is our own admin socket."""

    def __init__(self, loop: Loop, socket: str, log: Log) -> None:
        self._loop: Final = loop
        self._log: Final = log
        self._command: Final = [
            *(sys.executable, "-I", "-m", "lockd", "adopt", "--all", "--socket", socket)
        ]
        self._timer: Timer | None = None
        self._runs = False
        self._again = False

    def soon(self) -> None:
        """There may be guests without locks."""
        if self._timer is None:
            self._timer = self._loop.after(_MOMENT, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._runs:
            self._again = True
            return
        said = os.memfd_create("said")
        actions = [(os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
        try:
            pid = os.posix_spawn(self._command[0], self._command, os.environ, file_actions=actions)
        except OSError as error:
            os.close(said)
            self._log.error(f"guests cannot be adopted: {error.strerror}")
            return
        self._runs, self._again = True, False
        fd = os.pidfd_open(pid)
        self._loop.watch(fd, EPOLLIN, partial(self._ended, pid, fd, said))

    def _ended(self, pid: int, fd: int, said: int, _: int) -> None:
        self._loop.unwatch(fd)
        os.close(fd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # What was adopted or refused, its calls have told.
        if status not in (0, 1):
            text = os.pread(said, _MOST_SAID, 0).decode("utf-8", "replace").strip()
            self._log.warning(f"no guest was adopted: {text or f'exit status {status}'}")
        os.close(said)
        self._runs = False
        if self._again:
            self.soon()
