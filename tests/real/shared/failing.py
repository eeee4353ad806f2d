"""A guest that writes a sequence to a shared disk, and loses its lock: what lockd does about that
guest, and when."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.lockd.client import Client
from tests.real.shared.daemons import LOCKD, SOCKET, lock_daemons
from tests.real.shared.silence import status, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from tests.real.shared.hosts import Host, Network

_DISK: Final = "disk"

#: For how long it is watched whether a guest goes on, in seconds.
_WATCHED: Final = 1.0

_PATIENCE: Final = 120.0

#: Has lockd's settings for itself.
_CONFIGURE: Final = """
mkdir -p /run/etc
printf '%s\\n' "$1" >/run/etc/lockd.conf
mountpoint -q /etc/libvirt || mount --bind /run/etc /etc/libvirt
"""

#: Writes a sequence to a disk, and tells with the last number that has arrived there.
_WRITER: Final = """
import os, sys, time
count = os.open("/run/count", os.O_RDWR | os.O_CREAT, 0o600)
print(os.getpid(), flush=True)
number = 0
while True:
    try:
        disk = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_SYNC, 0o600)
        while True:
            os.pwrite(disk, b"%020d" % (number + 1), 0)
            number += 1
            os.pwrite(count, b"%020d" % number, 0)
            time.sleep(0.01)
    except OSError:
        time.sleep(0.05)  # the server is away
"""


class Failure(NamedTuple):
    """What was seen: how long after the cut the guest had stopped, and the other host had the lock,
    in seconds; how many writes the guest made after the other one had it (one may have been under
    way), what lockd said then and when the other one had released it, what ``lockd resume`` said
    while the other one had it, and whether the guest went on when a person said so."""

    stopped: float
    granted: float
    writes: int
    taken: list[str]
    over: list[str]
    refused: str
    goes_on: bool


def with_a_rival(
    hosts: Network, lockspace: str, *, cut: Callable[[], object], mend: Callable[[], object]
) -> Failure:
    """``cut`` the first host off until the server gives the lock to the second one, which keeps it
    for a while after that has been ``mended``."""
    one, two = hosts.clients
    with (
        _hosts(hosts, 'on_lockfailure = "pause"'),
        _writer(one, lockspace) as pid,
        _guest(two, lockspace, 1) as rival,
    ):
        _acquire(one, lockspace, pid)
        time.sleep(6)  # it is known by now that something is to be done for it
        begun = time.monotonic()
        cut()
        wait_for(lambda: _is_stopped(one, pid), "it has stopped", _PATIENCE)
        stopped = time.monotonic() - begun
        wait_for(lambda: rival.can_acquire(lockspace, _DISK), "the other one has it", _PATIENCE)
        granted = time.monotonic() - begun
        number = _number(one)
        mend()
        wait_for(lambda: "another host has it now" in _said(one), "it is told", _PATIENCE)
        time.sleep(_WATCHED)
        taken = _problems(one)
        refused = _resume(one)
        writes = _number(one) - number
        rival.release(lockspace, _DISK)
        wait_for(lambda: "may have had it" in _said(one), "it is held again", _PATIENCE)
        over = _problems(one)
        still = _is_stopped(one, pid)
        said = _resume(one)
        goes_on = still and not said and _goes_on(one)
    return Failure(stopped, granted, writes, taken, over, refused, goes_on)


def with_nobody(
    hosts: Network,
    lockspace: str,
    *,
    cut: Callable[[], object],
    mend: Callable[[], object],
    deadline: int,
) -> tuple[float, bool]:
    """``cut`` the first host off for longer than the ``deadline``, and for less than the server
    waits: how long after that the guest had stopped, and whether it went on by itself."""
    one, _ = hosts.clients
    settings = f'on_lockfailure = "pause"\nlockfailure_deadline = {deadline}'
    with _hosts(hosts, settings), _writer(one, lockspace) as pid:
        _acquire(one, lockspace, pid)
        time.sleep(6)
        begun = time.monotonic()
        cut()
        wait_for(lambda: _is_stopped(one, pid), "it has stopped", _PATIENCE)
        stopped = time.monotonic() - begun
        mend()
        wait_for(lambda: not _is_stopped(one, pid), "it goes on", _PATIENCE)
        return stopped, _goes_on(one)


def forgotten(
    hosts: Network, lockspace: str, *, forget: Callable[[], object], rival: bool
) -> tuple[float, list[str]]:
    """Have the server ``forget`` a lock, with no sign of it, and let a rival have it at once or
    not: how long after that the guest had stopped, or 0 where it goes on, and what lockd says."""
    one, two = hosts.clients
    with (
        _hosts(hosts, 'on_lockfailure = "pause"'),
        _writer(one, lockspace) as pid,
        _guest(two, lockspace, 1) as other,
    ):
        _acquire(one, lockspace, pid)
        time.sleep(6)
        begun = time.monotonic()
        forget()
        if not rival:
            wait_for(lambda: "had lost the lock" in _log(one), "it is told", _PATIENCE)
            time.sleep(_WATCHED)
            assert not other.can_acquire(lockspace, _DISK)
            return (0.0 if _goes_on(one) else time.monotonic() - begun), _problems(one)
        wait_for(lambda: other.can_acquire(lockspace, _DISK), "the other one has it", _PATIENCE)
        wait_for(lambda: _is_stopped(one, pid), "it has stopped", _PATIENCE)
        return time.monotonic() - begun, _problems(one)


@contextmanager
def _hosts(hosts: Network, settings: str) -> Iterator[None]:
    for host in hosts.clients:
        host.sh(_CONFIGURE, settings)
        host.sh(": >/var/log/libvirt/virtlockd.log")
    with lock_daemons(hosts.clients, (LOCKD, LOCKD)):
        yield


@contextmanager
def _writer(host: Host, lockspace: str) -> Iterator[int]:
    """A guest's process, by its pid on its host."""
    host.sh('mkdir -p "$1"; rm -f /run/count', lockspace)
    process = host.popen(
        sys.executable, "-c", _WRITER, f"{lockspace}.image", stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    try:
        yield pid
    finally:
        host.sh('kill -9 "$1"', str(pid))
        # nsenter stops with the process that it waits for, and does not go on with it.
        process.send_signal(signal.SIGCONT)
        process.communicate()


@contextmanager
def _guest(host: Host, lockspace: str, pid: int) -> Iterator[Client]:
    with Client(host.path(SOCKET), timeout=_PATIENCE) as client:
        client.register(host.name, pid)
        client.create_lockspace(lockspace)
        yield client


def _acquire(host: Host, lockspace: str, pid: int) -> None:
    with _guest(host, lockspace, pid) as client:
        client.acquire(lockspace, _DISK)


def _is_stopped(host: Host, pid: int) -> bool:
    text = host.path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0] in "TD" and "paused" in _said(host)


def _number(host: Host) -> int:
    """The last number that the guest knows of as written."""
    return int(host.path("/run/count").read_text())


def _goes_on(host: Host) -> bool:
    before = _number(host)
    time.sleep(_WATCHED)
    return _number(host) > before


def _problems(host: Host) -> list[str]:
    return [each["problem"] for each in status(host)["problems"]]


def _said(host: Host) -> str:
    return " ".join(_problems(host))


def _log(host: Host) -> str:
    return host.path("/var/log/libvirt/virtlockd.log").read_text(errors="replace")


def _resume(host: Host) -> str:
    done = subprocess.run(
        host.command(LOCKD, "resume", host.name), capture_output=True, text=True, check=False
    )
    return done.stderr
