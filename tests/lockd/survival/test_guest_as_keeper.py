"""What ``proofs/keepers.pml`` takes for granted of the kernel, where a guest keeps its own lock.

Nothing of lockd does that. The model says what would follow.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: struct flock: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")
_PIDFD_GETFD = 438
_ANSWER = b"answer"


def locked(fd: int, kind: int) -> bool:
    """Whether a lock of an open file could be had, or removed."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
    except BlockingIOError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Whether another process could lock a file now."""
    fd = os.open(path, os.O_RDWR)
    try:
        return locked(fd, fcntl.F_WRLCK)
    finally:
        os.close(fd)


def killed_behind_its_answer(path: Path, connection: socket.socket) -> None:
    """A lock daemon that locks a file, answers, sends the descriptor after it, and is killed."""
    pid = os.fork()
    if not pid:
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        if locked(fd, fcntl.F_WRLCK):
            connection.send(_ANSWER)
            socket.send_fds(connection, [b"lock"], [fd])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    connection.close()


def guest_with(connection: socket.socket) -> subprocess.Popen[bytes]:
    """A process that has inherited a connection, and reads nothing."""
    guest = subprocess.Popen(["sleep", "600"], pass_fds=[connection.fileno()])
    connection.close()
    return guest


def from_the_guest(guest: subprocess.Popen[bytes], number: int) -> int:
    """The descriptor that waits in its connection, and stays there."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(guest.pid)
    fd = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    os.close(pidfd)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=fd) as copy:
        data, ancillary, _, _ = copy.recvmsg(4, socket.CMSG_SPACE(4), socket.MSG_PEEK)
    assert data == b"lock"
    return int.from_bytes(ancillary[0][2], sys.byteorder)


@pytest.mark.parametrize("is_taken_back", [False, True])
def test_a_lock_lasts_as_long_as_its_guest(tmp_path: Path, is_taken_back: bool) -> None:
    """No process of lockd lives. The next one can unlock the file, while the guest has it open."""
    path = tmp_path / "lock"
    ours, theirs = socket.socketpair()
    killed_behind_its_answer(path, ours)
    # libvirt reads the answer, and no byte more.
    assert theirs.recv(len(_ANSWER)) == _ANSWER
    number = theirs.fileno()
    guest = guest_with(theirs)
    try:
        assert not is_free(path)
        if is_taken_back:
            for _ in range(2):
                fd = from_the_guest(guest, number)
                locked(fd, fcntl.F_UNLCK)
                os.close(fd)
            assert is_free(path)
    finally:
        guest.kill()
        guest.wait()
    assert is_free(path)


def test_who_reads_further_than_the_answer_loses_it(tmp_path: Path) -> None:
    """So the message comes behind the answer, and not before it."""
    path = tmp_path / "lock"
    ours, theirs = socket.socketpair()
    killed_behind_its_answer(path, ours)
    assert not is_free(path)
    assert theirs.recv(len(_ANSWER)) == _ANSWER
    assert not is_free(path)
    assert theirs.recv(100) == b"lock"
    assert is_free(path)
    theirs.close()
