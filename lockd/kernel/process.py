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
    """When a process started, in clock ticks since the system did (proc(5)); 0 where it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        # The name, in parentheses, may have anything in it.
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
        return int(fields[_START_TIME])
    except (OSError, IndexError):
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
    """A descriptor of the process ``pid`` that started at that time; -1 where it has ended."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return -1
    if start_time(pid) != started:
        os.close(fd)
        return -1
    return fd


def has_ended(fd: int) -> bool:
    """Whether a process has ended: also when nobody has asked for its status yet."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def terminate(fd: int) -> None:
    """Ask a process to end."""
    _send(fd, signal.SIGTERM)


def kill(fd: int) -> None:
    """End a process."""
    _send(fd, signal.SIGKILL)


def _send(fd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(fd, number)
    except OSError:
        pass  # it has ended meanwhile
