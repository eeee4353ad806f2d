"""The processes of guests: whether one is still the one it was, and how it is made to end.

A pid may have become another process's. The kernel's descriptor of a process (pidfd_open(2)) is
of one process only, and the time it started tells which one it was.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: Where in /proc/PID/stat the start time is, counted behind the name of the program.
_START_TIME: Final = 19


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since the system did (proc(5)); 0 where it is gone.
    Raises OSError if the system does not tell."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    try:
        # The name, in parentheses, may have anything in it.
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
        return int(fields[_START_TIME])
    except ProcessLookupError:
        return 0
    finally:
        os.close(fd)


def name(pid: int) -> str:
    """What the program of a process is called; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def open_process(pid: int, started: int) -> int:
    """A descriptor of the process ``pid`` that started at that time; -1 where it has ended. Raises
    OSError if the system does not tell: it may be there."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    try:
        if start_time(pid) == started:
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return -1


def has_ended(fd: int) -> bool:
    """Whether a process has ended: also when nobody has asked for its status yet. Raises OSError
    where that cannot be told."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def terminate(fd: int) -> None:
    """Ask a process to end. Raises OSError where that is not allowed."""
    send(fd, signal.SIGTERM)


def kill(fd: int) -> None:
    """End a process. Raises OSError where that is not allowed."""
    send(fd, signal.SIGKILL)


def send(fd: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended. Raises OSError where that is not allowed."""
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        pass  # it has ended meanwhile
