"""The processes of guests: whether a pid is still the same process, and how to end it.

A pid may belong to another process by now. The kernel's descriptor of a process (pidfd_open(2)) is
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
    """When a process started, in clock ticks since boot (proc(5)); 0 if it has ended. Raises
    OSError if the system does not tell."""
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
    """The name of a process's program; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def open_process(pid: int, started: int) -> int:
    """A descriptor of the process ``pid`` that started at that time; -1 if it has ended. Raises
    OSError if the system does not tell: the process may exist."""
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
    """Whether a process has ended, even if its parent has not read its status yet. Raises OSError
    if the system does not tell."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def terminate(fd: int) -> None:
    """Ask a process to end. Raises OSError if that is not allowed."""
    send(fd, signal.SIGTERM)


def kill(fd: int) -> None:
    """End a process. Raises OSError if that is not allowed."""
    send(fd, signal.SIGKILL)


def send(fd: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended. Raises OSError if that is not allowed."""
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        pass  # it has ended meanwhile
