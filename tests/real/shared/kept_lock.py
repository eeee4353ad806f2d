"""A lock engine that is killed, and who keeps its lock: the mechanism, without the engine.

    kept_lock.py keep PATH
    kept_lock.py probe PATH

``keep``: a child process opens the file and takes an open-file-description lock on byte 0, as the
engine does, gives the descriptor to its parent over a socket and is killed with SIGKILL. The
parent says ``kept``, and at the end of its input has another child unlock the descriptor; it says
``unlocked`` and stays until a second line of input, with the descriptor open.

``probe`` prints ``free`` or ``held``, for a lock of each sort: an open-file-description lock, and
the POSIX lock that virtlockd takes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.real.shared.hosts import Network

_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
_UNLOCK = struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0)


def transcript(hosts: Network, path: str) -> list[str]:
    """What the keeper on one host says, and after each time what the other host's probe says."""
    one, two = hosts.clients
    keeper = one.popen(
        sys.executable, __file__, "keep", path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    said = []
    with keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        for _ in range(2):
            said.append(keeper.stdout.readline().strip())
            said.append(two.run(sys.executable, __file__, "probe", path).strip())
            keeper.stdin.write("\n")
            keeper.stdin.flush()
    return said


def keep(path: str) -> None:
    """Have a child lock the file, kill it, and keep what it had."""
    ours, engines = socket.socketpair()
    engine = os.fork()
    if engine == 0:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK)
        socket.send_fds(engines, [b"lock"], [fd])
        signal.pause()
    _, (kept,), _, _ = socket.recv_fds(ours, 16, 1)
    os.kill(engine, signal.SIGKILL)
    os.waitpid(engine, 0)
    # What dropped a POSIX lock: another descriptor of the file is closed, and a copy of ours.
    os.close(os.open(path, os.O_RDWR))
    os.close(os.dup(kept))
    print("kept", flush=True)
    sys.stdin.readline()
    successor = os.fork()
    if successor == 0:
        fcntl.fcntl(kept, fcntl.F_OFD_SETLK, _UNLOCK)
        os._exit(0)
    os.waitpid(successor, 0)
    print("unlocked", flush=True)
    sys.stdin.readline()


def probe(path: str) -> None:
    """Try to lock the file, and let it go again."""
    answers = []
    for command in (fcntl.F_OFD_SETLK, fcntl.F_SETLK):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.fcntl(fd, command, _LOCK)
            answers.append("free")
        except BlockingIOError:
            answers.append("held")
        os.close(fd)
    print(*answers)


if __name__ == "__main__":
    {"keep": keep, "probe": probe}[sys.argv[1]](sys.argv[2])
