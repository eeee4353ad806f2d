"""``--heartbeat``: a small file of this host in each lockspace, so that others can tell that it
lives.

Each writes over ``SPACE/.hosts/NAME``, always with the same number of bytes. Nothing grows with the
number of hosts: to ask about a host, a program opens one file whose name it knows. ``lockcfg who``
and ``lockcfg release`` read it (``docs/reference/monitoring.md``). A thread for each lockspace that
answered the last time writes it, so a silent file system delays nothing else.
"""

from __future__ import annotations

import json
import os
import stat
import time
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    from lockd.kernel.aside import Aside
    from lockd.kernel.loop import Loop
    from lockd.log import Log

#: Where the heartbeats are, in a lockspace.
DIRECTORY: Final = ".hosts"

#: The length of each, in bytes. Blanks fill it up, so that one write replaces it.
SIZE: Final = 512

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


class Heartbeat:
    """Writes them every ``interval`` seconds, into the ``spaces`` that exist at that time."""

    def __init__(
        self,
        loop: Loop,
        aside: Aside,
        spaces: Callable[[], Iterable[str]],
        interval: float,
        log: Log,
    ) -> None:
        self._loop: Final = loop
        self._aside: Final = aside
        self._spaces: Final = spaces
        self._interval: Final = interval
        self._log: Final = log
        self._host: Final = os.uname().nodename
        self._boot: Final = _boot_id()
        #: The lockspaces that have not answered yet, and the error of those that refuse.
        self._writing: Final[set[str]] = set()
        self._problems: Final[dict[str, str]] = {}

    def begin(self) -> None:
        """Write them from the first turn of the loop on, again and again."""
        if self._host and "/" not in self._host and not self._host.startswith("."):
            self._loop.after(0, self._beat)
        else:
            self._log.warning(
                "no heartbeat is written: the name of this host cannot be the name of a file"
            )

    def _beat(self) -> None:
        for space in [*self._spaces()]:
            if space and space not in self._writing:
                self._writing.add(space)
                problem = [""]
                work = partial(self._write, space, problem)
                self._aside.run(work, partial(self._written, space, problem))
        self._loop.after(self._interval, self._beat)

    def _write(self, space: str, problem: list[str]) -> None:
        try:
            write(space, self._host, self._content())
        except OSError as error:
            problem[0] = error.strerror or str(error)

    def _written(self, space: str, problem: list[str]) -> None:
        self._writing.discard(space)
        before = self._problems.get(space, "")
        if problem[0] and problem[0] != before:
            self._log.warning(f"{space}: no heartbeat can be written: {problem[0]}")
        elif before and not problem[0]:
            self._log.warning(f"{space}: heartbeats are written again")
        self._problems[space] = problem[0]

    def _content(self) -> dict[str, Any]:
        return {
            "lockd": 1,
            "host": self._host,
            "boot": self._boot,
            "pid": os.getpid(),
            "time": round(time.time(), 3),
            "interval": self._interval,
        }


def write(space: str, host: str, content: dict[str, Any]) -> None:
    """Write the heartbeat of a host, through no link. Raises OSError."""
    directory = _directory(os.path.join(space, DIRECTORY))
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(host, flags, 0o600, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "another kind of file is there")
        if status.st_nlink != 1:
            raise OSError(0, "the file there has another name too")
        os.pwrite(fd, json.dumps(content).encode("ascii").ljust(SIZE - 1) + b"\n", 0)
    finally:
        os.close(fd)  # on NFS, with which it is sent


def _directory(path: str) -> int:
    """Open a directory, and make it if it is missing. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        os.mkdir(path, 0o700)  # but not the lockspace: if that is missing, it may not be mounted
        return os.open(path, flags)


def _boot_id() -> str:
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
