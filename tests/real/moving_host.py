"""A host whose virtlockd is replaced by lockd and lockd by virtlockd, in one process, while clients
go on: the real programs, with a /run and an /etc/libvirt of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lockd.client import Client
from tests.lockd.engine import PROGRAM, kill_left_over, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Self

VIRTLOCKD: Final = "/usr/sbin/virtlockd"

_NAMESPACE: Final = (
    'mount --bind "$1" /run && mount --bind "$2" /etc/libvirt && shift 2 && exec "$@"'
)

#: Tries to lock every file in some directories, again and again, and tells of each success; and how
#: often it has tried, when it is to end. Where it is told ``shared``, it asks for shared locks.
THIEF: Final = """
import fcntl, os, select, sys
fds = {
    name: os.open(name, os.O_RDWR)
    for directory in sys.argv[1:]
    for name in (os.path.join(directory, each) for each in os.listdir(directory))
}
print(len(fds), flush=True)
tries = 0
while not select.select([0], [], [], 0)[0]:
    for name, fd in fds.items():
        tries += 1
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except BlockingIOError:
            continue
        print("got", name, flush=True)
print("tries", tries, flush=True)
"""


class MovingHost:
    """A host, with virtlockd at first; a context manager."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        files: Mapping[str, str] = {},
        program: str | Path = VIRTLOCKD,
        environment: Mapping[str, str] = {},
    ) -> None:
        self.run = directory / "run"
        self.log_file = directory / "log"
        self.lockspace = directory / "lockspace"
        self.etc = directory / "etc"
        for each in (self.run, self.etc, self.lockspace):
            each.mkdir()
        for name, text in files.items():
            (self.etc / name).write_text(text)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private", "sh", "-c", _NAMESPACE),
                    *("sh", self.run, self.etc, program, *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        self.socket = self.run / "libvirt/virtlockd-sock"
        self._clients: list[Client] = []
        self._known: set[int] = set()

    def __enter__(self) -> Self:
        wait_for(self._is_up, "virtlockd is up")
        with self.client() as client:
            client.create_lockspace(self.lockspace)
        return self

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log
        if not self.socket.exists():
            return False
        try:
            Client(self.socket).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self._note_children()
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        kill_left_over(self._known)

    def _note_children(self) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError):
            self._known.update(map(int, children.read_text().split()))

    @property
    def log(self) -> str:
        """What has been logged."""
        return self.log_file.read_text(errors="replace")

    @property
    def runs(self) -> str:
        """The program that the process is."""
        name = os.path.basename(os.readlink(f"/proc/{self.process.pid}/exe"))
        return "lockd" if name.startswith("python") else name

    def client(self, *, timeout: float = 60) -> Client:
        """A new connection, which ends with the host."""
        client = Client(self.socket, timeout=timeout)
        self._clients.append(client)
        return client

    def inside(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        return subprocess.run(
            ["nsenter", "--target", str(self.process.pid), "--mount", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def know(self, *pids: int) -> None:
        """These processes are the host's too, and end with it."""
        self._known.update(pids)

    def again(self, pid: int, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command where a process is that has come after the first one."""
        return subprocess.run(
            ["nsenter", "--target", str(pid), "--mount", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def lockd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of lockd there."""
        return self.inside(PROGRAM, *arguments)

    def move(self, command: str) -> None:
        """``takeover`` or ``handback``: it is done when this returns."""
        done = self.lockd(command)
        assert done.returncode == 0, f"{done.stderr}\n{self.log}"
        assert self.runs == {"takeover": "lockd", "handback": "virtlockd"}[command]
        self._note_children()

    def held(self) -> set[str]:
        """The files of the lockspace that another process cannot lock."""
        return {name for name in os.listdir(self.lockspace) if not can_lock(self.lockspace / name)}


def can_lock(path: Path) -> bool:
    """Whether another process than the daemon could lock a file now."""
    import fcntl

    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except BlockingIOError:
            return False
    return True


class Thief:
    """Another process that tries to lock every file in some directories all the time."""

    def __init__(self, *directories: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", THIEF, *directories],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.files = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def end(self) -> tuple[list[str], int]:
        """What it has got, and how often it has tried."""
        output, _ = self._process.communicate("\n", timeout=60)
        *got, tries = output.splitlines()
        return got, int(tries.split()[1])
