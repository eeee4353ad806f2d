"""Stops a process where it is, without its consent, and lets it go on as if nothing had happened.

If the process has a control group of its own, as libvirt's guests have, that is frozen
(cgroup.freeze of version 2): only the same file lets it go on. Otherwise the process gets SIGSTOP,
which any SIGCONT ends. The freezer of version 1 is left alone: what it has frozen cannot even be
killed.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from lockcfg import ReadError, read_mounts
from lockd.kernel.process import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: Stands for a control group if the process has none of its own.
BY_SIGNAL: Final = ""

#: How the control group of one guest ends, below which libvirt has more of them: with systemd, and
#: without.
_OF_A_GUEST: Final = (".scope", ".libvirt-qemu")

#: How much of a file of the kernel is read, in bytes.
_MOST: Final = 65536


def group_of(pid: int) -> str:
    """The directory of the control group that contains the process and its children, and no other
    process; :data:`BY_SIGNAL` if there is no such group."""
    try:
        points = [mount.point for mount in read_mounts() if mount.type == "cgroup2"]
        lines = _read(f"/proc/{pid}/cgroup").splitlines()
    except (ReadError, OSError):
        return BY_SIGNAL
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    if not points or not path.startswith("/") or ".." in path.split("/"):
        return BY_SIGNAL
    parts = [part for part in path.split("/") if part]
    for end in range(len(parts), 0, -1):
        if parts[end - 1].endswith(_OF_A_GUEST) and parts[end - 1].startswith(("machine", "qemu")):
            return _if_it_can("/".join([points[0], *parts[:end]]))
    group = "/".join([points[0], *parts])
    try:
        alone = parts and _read(f"{group}/cgroup.procs").split() == [str(pid)]
    except OSError:
        alone = False
    return _if_it_can(group) if alone else BY_SIGNAL


def _if_it_can(group: str) -> str:
    return group if os.access(f"{group}/cgroup.freeze", os.W_OK) else BY_SIGNAL


def stop(fd: int, group: str) -> None:
    """Stop the process behind a descriptor of it (pidfd_open(2)), by its group or by a signal.
    Raises OSError if that fails; the process goes on then."""
    if group != BY_SIGNAL:
        _write(group, "1")
    else:
        send(fd, signal.SIGSTOP)


def go_on(fd: int, group: str) -> None:
    """Let the process go on. Raises OSError."""
    if group != BY_SIGNAL:
        # A group that is gone has no process in it.
        with suppress(FileNotFoundError):
            _write(group, "0")
    else:
        send(fd, signal.SIGCONT)


def is_stopped(pid: int, group: str) -> bool:
    """Whether the process has stopped. A process in a system call stops when that ends. Raises
    OSError if the state is unknown."""
    if group != BY_SIGNAL:
        return "frozen 1" in _read(f"{group}/cgroup.events").splitlines()
    return all(
        _read(f"/proc/{pid}/task/{thread}/stat").rpartition(")")[2].split()[0] in "Tt"
        for thread in os.listdir(f"/proc/{pid}/task")
    )


def _write(group: str, text: str) -> None:
    fd = os.open(f"{group}/cgroup.freeze", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _MOST).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
