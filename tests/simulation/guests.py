"""What there is besides lockd: guests, libvirtd, which acts for them, and a virtlockd on a host."""

from __future__ import annotations

import fcntl
import os as real_os
import signal
from contextlib import suppress
from itertools import count
from struct import Struct
from typing import TYPE_CHECKING

from lockd.programs import lock
from lockd.wire.inbox import Inbox
from lockd.wire.message import CALL, ERROR, OK, Header, pack_message, read_header
from lockd.wire.xdr import pack_uint
from tests.lockd.client import (
    ACQUIRE,
    AUTOCREATE,
    REGISTER,
    RELEASE,
    RESTRICT,
    SHARED,
    registration,
    resource,
)
from tests.simulation import kernel
from tests.simulation.kernel import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Final

    from tests.simulation.host import Host

    #: A guest waits for a client to have its answer, or for a time.
    Waits = Generator["Client | float", None, None]

#: The pid of libvirtd.
LIBVIRTD: Final = 7

_uuids: Final = count(1)
_FLOCK: Final = Struct("hhqqi4x")
_EXCLUSIVE: Final = _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 1, 0)
_NONE: Final = _FLOCK.pack(fcntl.F_UNLCK, 0, 0, 1, 0)


class Client:
    """A connection to the daemon of a host. What it sends may arrive in parts. ``answer`` is that
    to the last call: empty if it was granted, None if the daemon has hung up."""

    def __init__(self, host: Host, pid: int) -> None:
        ours, self._end = connection(pid)
        host.listening.waiting.append(ours)
        self._inbox: Final = Inbox()
        self._unsent = b""
        self._serials: Final = count(1)
        self._awaited = 0
        self.answer: str | None = ""

    def call(self, procedure: int, arguments: bytes) -> Client:
        """Begin a call."""
        self._awaited = next(self._serials)
        header = Header(0, lock.PROGRAM, 1, procedure, CALL, self._awaited, OK)
        self._unsent += pack_message(header, arguments)
        return self

    @property
    def is_waiting(self) -> bool:
        """Whether there is no answer yet."""
        return bool(self._awaited)

    @property
    def can_go_on(self) -> bool:
        """Whether it has something to send, or something has come for it."""
        return bool(self._awaited) and bool(self._unsent or self._end.received or self._end.is_over)

    def go_on(self, part: int) -> None:
        """Send so many bytes, or take what has come."""
        if self._end.received:
            data, self._end.received = self._end.received, b""
            for message in self._inbox.feed(data):
                header = read_header(message)
                # An answer that comes twice is passed over.
                if header.serial == self._awaited:
                    self._awaited = 0
                    self.answer = "refused" if header.status == ERROR else ""
        elif self._end.is_over:
            self._awaited, self.answer = 0, None
        elif self._end.peer is not None:
            self._end.peer.received += self._unsent[:part]
            self._unsent = self._unsent[part:]

    def close(self) -> None:
        """Hang up."""
        self._end.shut()


class Guest:
    """A guest: its process, what libvirt does with it, and its disks, each shared or not."""

    def __init__(self, host: Host, pid: int, started: int, disks: dict[str, bool]) -> None:
        self.host: Final = host
        self.pid: Final = pid
        self.started: Final = started
        self.disks: Final = disks
        self.granted: Final[set[str]] = set()
        self.runs = False
        self.is_stopped = False
        self.has_ended = False
        self.dies_at = float("inf")
        self._own = Client(host, pid)
        self._cluster: Final = host.cluster
        host.processes[pid] = self
        self.life: Final = self._life()
        self.waits: Client | float | None = 0.0

    def __str__(self) -> str:
        return f"guest {self.pid} on {self.host.name}"

    def writes(self, disk: str) -> bool:
        """Whether it may write a disk now, or read it where that is shared."""
        return self.runs and not self.is_stopped and not self.has_ended and disk in self.granted

    def on_signal(self, number: int) -> None:
        """A signal has come."""
        if number == signal.SIGKILL or (number == signal.SIGTERM and self._cluster.chance(0.7)):
            self.dies_at = min(self.dies_at, self._cluster.now + 0.01)
        elif number == signal.SIGSTOP:
            self.is_stopped = True
        elif number == signal.SIGCONT:
            self.is_stopped = False

    def end(self) -> None:
        """Its process is over, and its connection with it."""
        self.has_ended = True
        self._own.close()
        if self.host.processes.get(self.pid) is self:
            del self.host.processes[self.pid]

    # --- what libvirt does

    def _register(self) -> bytes:
        return registration(f"guest-{self.pid}", self.pid, self.pid, bytes(16))

    def _life(self) -> Waits:
        client = self._own
        yield client.call(REGISTER, self._register())
        if client.answer == "":
            yield from self._acquire(client)
        if len(self.granted) < len(self.disks):
            return self.end()
        if self._cluster.chance(0.3):
            yield client.call(RESTRICT, pack_uint(0))
        self.runs = True
        for _ in range(self._cluster.random.randrange(3)):
            yield self._cluster.now + self._cluster.some_time()
            if self.has_ended:
                return None
            yield from self._pause_and_resume()
            if not self.runs:
                return self.end()
        yield self._cluster.now + self._cluster.some_time()
        return self.end()

    def _acquire(self, client: Client) -> Waits:
        for disk, shared in self.disks.items():
            yield client.call(ACQUIRE, _about(disk, AUTOCREATE | (SHARED if shared else 0)))
            if client.answer != "":
                return
            self.granted.add(disk)

    def _pause_and_resume(self) -> Waits:
        """By a connection that is not the guest's own."""
        self.runs = False
        client = Client(self.host, LIBVIRTD)
        yield client.call(REGISTER, self._register())
        for disk in self.disks if client.answer == "" else ():
            self.granted.discard(disk)
            yield client.call(RELEASE, _about(disk, 0))
            if client.answer != "":
                break
        else:
            client.close()
            yield self._cluster.now + self._cluster.some_time()
            client = Client(self.host, LIBVIRTD)
            yield client.call(REGISTER, self._register())
            if client.answer == "":
                yield from self._acquire(client)
            self.runs = len(self.granted) == len(self.disks) and not self.has_ended
        client.close()

    # --- for the cluster

    @property
    def can_go_on(self) -> bool:
        """Whether it has something to do now."""
        if isinstance(self.waits, Client):
            return self.waits.can_go_on
        return self.waits is not None and self.waits <= self._cluster.now

    def go_on(self) -> None:
        """Do it."""
        waits = self.waits
        if isinstance(waits, Client):
            waits.go_on(self._cluster.random.choice((7, 4096)))
            if waits.is_waiting:
                return
        if self.has_ended and not isinstance(waits, Client):
            self.waits = None
            return
        self.waits = next(self.life, None)


def _about(disk: str, flags: int) -> bytes:
    directory, _, name = disk.rpartition("/")
    return resource(directory, name, flags)


class Virtlockd:
    """A virtlockd that takes one lock after the other, as its own code does. It is never killed."""

    def __init__(self, host: Host, disks: Iterable[str]) -> None:
        self.host: Final = host
        self._disks: Final = list(disks)
        self._holds: str | None = None
        self.is_over = False
        host.cluster.begin(host.process, self._run)

    def __str__(self) -> str:
        return f"virtlockd on {self.host.name}"

    def writes(self, disk: str) -> bool:
        """Whether a guest of it may write a disk."""
        return self._holds == disk

    def _run(self) -> None:
        cluster = self.host.cluster
        for _ in range(cluster.contests):
            disk = cluster.random.choice(self._disks)
            cluster.sleep(cluster.some_time() / 4)
            fd = self._lock(disk)
            if fd is not None:
                self._holds = disk
                cluster.sleep(cluster.some_time() / 4)
                self._holds = None
                _quietly(kernel.MODULES["os"].unlink, disk)
                # It closes the file. NFS first unlocks it then, and removes it afterwards.
                _quietly(kernel.MODULES["fcntl"].fcntl, fd, fcntl.F_OFD_SETLK, _NONE)
                cluster.sleep(0.003)
                _quietly(kernel.MODULES["os"].close, fd)
        self.is_over = True

    def _lock(self, path: str) -> int | None:
        system = kernel.MODULES["os"]
        for _ in range(20):
            fd = None
            try:
                fd = system.open(path, real_os.O_RDWR | real_os.O_CREAT)
                kernel.MODULES["fcntl"].fcntl(fd, fcntl.F_OFD_SETLK, _EXCLUSIVE)
                if system.fstat(fd).st_ino == system.stat(path).st_ino:
                    return int(fd)
            except FileNotFoundError:
                pass  # the name is gone: once more
            except OSError:
                if fd is not None:
                    _quietly(system.close, fd)
                return None
            if fd is not None:
                _quietly(system.close, fd)
        return None


def _quietly(call: Callable[..., object], *arguments: object) -> None:
    with suppress(OSError):
        call(*arguments)
