"""A lockd that runs for a test: the real program, with a /run of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lockd.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, Self

PROGRAM: Final = Path(sys.executable).parent / "lockd"

_SECONDS: Final = 90.0

# No pid namespace: the daemon is to see the pids that the test sees.
_NAMESPACE: Final = (
    'mount --bind "$1" /run && mount --bind "$2" /etc/libvirt && shift 2 && exec "$@"'
)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = _SECONDS) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} has not come true in {seconds} s"
        time.sleep(0.005)


def waited(*pids: int) -> float:
    """How long the threads of some processes have had work and no processor, in seconds: what a
    machine that is busy with something else adds to what they do."""
    nanoseconds = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                nanoseconds += int(thread.read_text().split()[1])
    return nanoseconds / 1e9


class Stopwatch:
    """What a daemon takes, and the test that asks it, from now on."""

    def __init__(self, *pids: int) -> None:
        self._pids: Final = (*pids, os.getpid())
        self._waited: Final = waited(*self._pids)
        self._begun: Final = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since then, without that in which they had to wait for a processor."""
        took = time.monotonic() - self._begun
        return took - max(waited(*self._pids) - self._waited, 0.0)


def end(pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal to a process that is no longer a child of a test, and wait for its end."""
    fd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(fd, number)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the process has ended")
    finally:
        os.close(fd)


def kill_left_over(pids: set[int]) -> None:
    """End what is left of a lock daemon, by the pids that it had: one may be another process's by
    now, and 0 would be all of our own group."""
    for pid in pids - {0}:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"lockd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


class Engine:
    """A lockd under its own supervisor. ``directory`` takes its files."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        command: Sequence[str | Path] = (PROGRAM,),
        files: Mapping[str, str] = {},
        environment: Mapping[str, str] = {},
    ) -> None:
        self.run = directory / "run"
        self.log_file = directory / "log"
        self.lockspace = directory / "lockspace"
        etc = directory / "etc"
        for each in (self.run, etc, self.lockspace):
            each.mkdir(exist_ok=True)
        for name, text in files.items():
            (etc / name).write_text(text)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private", "sh", "-c", _NAMESPACE),
                    *("sh", self.run, etc, *command, *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        self.socket = self.run / "libvirt/virtlockd-sock"
        self.admin_socket = self.run / "libvirt/virtlockd-admin-sock"
        self._known: set[int] = set()
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        wait_for(self._is_up, "the daemon is up")
        with self.client() as client:
            client.create_lockspace(self.lockspace)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self._known.add(self.pid)
            self.process.terminate()
            try:
                self.process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        kill_left_over(self._known)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log
        if not self.socket.exists() or not self.admin_socket.exists():
            return False
        try:
            Client(self.socket).close()
        except OSError:
            return False
        return True

    @property
    def pid(self) -> int:
        """The daemon's process, which is the supervisor's child; 0 while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()]
        self._known.update(pids)
        return pids[0] if pids else 0

    @property
    def log(self) -> str:
        """What has been logged."""
        return self.log_file.read_text(errors="replace")

    def guest(self, *names: str) -> subprocess.Popen[bytes]:
        """A guest's process that holds locks; see :mod:`tests.lockd.guest`."""
        guest = subprocess.Popen(
            [sys.executable, "-m", "tests.lockd.guest", self.socket, self.lockspace, *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert guest.stdout is not None
        assert guest.stdout.readline() == b"holds\n"
        return guest

    def client(self) -> Client:
        """A new connection, which ends with the daemon."""
        client = Client(self.socket)
        self._clients.append(client)
        return client

    def crash(self) -> None:
        """Kill the daemon, and wait for the next one to have taken over."""
        before = self.log.count("took over")
        wait_for(lambda: bool(self.pid), "there is one")
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: self.log.count("took over") > before, "the daemon has been taken over")

    def upgrade(self) -> None:
        """Have the daemon start itself again in place, and wait for that."""
        before = self.log.count("took over")
        os.kill(self.process.pid, signal.SIGUSR1)
        wait_for(lambda: self.log.count("took over") > before, "the daemon has been taken over")

    def ask(self, what: str) -> Any:
        """What ``lockd status`` or ``lockd locks`` prints as JSON."""
        done = subprocess.run(
            [PROGRAM, what, "--json", "--socket", self.admin_socket],
            capture_output=True,
            timeout=_SECONDS,
        )
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)
