"""What a process does to be a daemon: going into the background, its PID file, its limits."""

from __future__ import annotations

import os
import resource
import sys

from lockd.kernel.filelock import hold_whole_life
from lockd.ownfile import open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What a daemon in the background has.
UMASK: Final = 0o022
_READY: Final = b"+"


class Foreground:
    """A daemon that stays where it was started."""

    def ready(self) -> None:
        """The daemon is up: the program that started it sees that by its sockets."""

    def failed(self, why: str, status: int) -> int:  # noqa: ARG002 - it has been told
        """The daemon does not come up; ``status`` is returned."""
        return status


class Background(Foreground):
    """A daemon that went into the background; ``pipe`` leads to the process that started it and
    waits for it to be up."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        """Let the process that started the daemon end with success."""
        self._tell(_READY)

    def failed(self, why: str, status: int) -> int:
        """Let the process that started the daemon print the reason, and end as virtlockd does, with
        1."""
        self._tell(why.encode())
        return status

    def _tell(self, message: bytes) -> None:
        if self._pipe >= 0:
            os.write(self._pipe, message)
            os.close(self._pipe)
            self._pipe = -1


def detach(program: str, log: str) -> Background:
    """Go into the background. Returns in the daemon; the process that was started waits until the
    daemon is up, or prints why it does not come up, and ends."""
    read, write = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(write)
        with open(read, "rb") as pipe:
            message = pipe.read()
        if message == _READY:
            os._exit(0)
        why = message.decode("utf-8", "replace") or "The daemon has ended"
        sys.stderr.write(
            f"{program}: error: {why}. Check {log} or run without --daemon for more info.\n"
        )
        sys.stderr.flush()
        os._exit(1)
    os.close(read)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(UMASK)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    return Background(write)


class PidFile:
    """The file with the daemon's pid. It is locked as long as ``fd`` or a copy of it is open; if
    ``fd`` is given, it is locked already. Raises OSError with the file's name if another daemon has
    it."""

    def __init__(self, path: str, fd: int = -1) -> None:
        self._path: Final = path
        if fd >= 0:
            self.fd = fd
            return
        self.fd = open_own(path, os.O_RDWR, 0o644)
        try:
            hold_whole_life(self.fd)
        except OSError as error:
            os.close(self.fd)
            error.filename = path
            raise
        os.fchmod(self.fd, 0o644)
        write_pid(self.fd)

    def remove(self) -> None:
        """The daemon ends."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        os.close(self.fd)


def write_pid(fd: int) -> None:
    """Write this process's pid into an open PID file."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode("ascii"), 0)


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the process may have: the soft limit becomes the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # it stays as it is; the needs of the daemon report it


def take_name(name: str) -> None:
    """Take ``name`` as the process's name, which ``ps`` and ``lslocks`` print."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)
