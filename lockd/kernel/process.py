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

#: Where in /proc/PID/stat the flags and the start time are, counted behind the name of the program;
#: and the flag of a process that runs nothing more (PF_EXITING).
_FLAGS: Final = 6
_START_TIME: Final = 19
_EXITING: Final = 4
_MOST: Final = 4096


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5)); 0 if it has ended. Raises
    OSError if the system does not tell."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    try:
        return int(_behind_name(os.read(fd, _MOST))[_START_TIME])
    except ProcessLookupError:
        return 0
    finally:
        os.close(fd)


def _behind_name(line: bytes) -> list[bytes]:
    """The fields of /proc/PID/stat behind the name of the program, which is in parentheses and may
    have anything in it."""
    return line.rpartition(b")")[2].split()


def open_status(pid: int) -> int:
    """A descriptor for :func:`is_exiting`; -1 if the system gives none."""
    try:
        return os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def is_exiting(status: int) -> bool:
    """Whether a process runs nothing more, while the kernel may still close its files. False if it
    has ended, or the system does not tell."""
    try:
        fields = _behind_name(os.pread(status, _MOST, 0))
    except OSError:
        return False
    return bool(fields and int(fields[_FLAGS]) & _EXITING)


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended, with all of its files. Raises OSError if the system does not
    tell."""
    import select

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll()
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
