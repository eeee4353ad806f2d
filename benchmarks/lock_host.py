"""A lock daemon on a host of its own: a machine's worth of namespaces around it and its guests.

The host has its own processes, /run and /etc/libvirt, and the machine's file systems. All of its
processes end with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Where a privileged lock daemon listens.
SOCKET = "/run/libvirt/virtlockd-sock"

_UNSHARE = (
    *("unshare", "--mount", "--propagation", "private"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
)

# The first process does nothing but be there. It ignores SIGCHLD, so that orphans of the host are
# reaped by the kernel.
_INIT = """
mount --bind "$1" /etc/libvirt && mount -t tmpfs tmpfs /run && mkdir /run/libvirt || exit
trap '' CHLD
echo ready
exec cat >/dev/null
"""

_FLOCK = Struct("hhqqi4x")

#: How long a re-exec may take to be noticed, in milliseconds.
_WINDOW = 3000


class Pairs(NamedTuple):
    """Acquire and release pairs: calls per second, the CPU time that the daemon's processes took
    for one, and the latency of a call, in microseconds."""

    rate: float
    cpu: float
    p50: float
    p99: float
    longest: float


class Memory(NamedTuple):
    """What the processes of a daemon have resident, in MiB: summed up as if they shared nothing,
    and with shared pages divided among all that have them."""

    rss: float
    pss: float


class Outage(NamedTuple):
    """A signal and what clients notice of it, in milliseconds: the longest call, and the time from
    the signal until that call was answered."""

    longest_call: float
    until_answered: float


class LockHost:
    """A host where ``command`` is the lock daemon. ``start_up`` is the time from its start until
    the first calls of a client were answered, in milliseconds.

    ``load`` is the compiled load generator, ``configuration`` becomes /etc/libvirt, and
    ``lockspace`` is the directory that guests lock in; it goes when the host does.
    """

    def __init__(
        self, load: str, configuration: str, lockspace: str, command: Sequence[str]
    ) -> None:
        self._lockspace = lockspace
        self._unshare = subprocess.Popen(
            [*_UNSHARE, "sh", "-c", _INIT, "sh", configuration],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != b"ready\n":
            raise SystemExit("no namespaces for a lock daemon: this needs root")
        (init,) = _children(self._unshare.pid)
        enter = ["nsenter", f"--target={init}", "--mount", "--pid", "--"]
        self._load = subprocess.Popen(
            [*enter, load, SOCKET, lockspace], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        start = time.perf_counter()
        self._daemon = subprocess.Popen([*enter, *command], stdin=subprocess.DEVNULL)
        self._ask("clients 1")
        self.start_up = (time.perf_counter() - start) * 1000

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._load, self._unshare):
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        self._daemon.wait()
        shutil.rmtree(self._lockspace)

    # --- the guests

    def connect_guests(self, count: int) -> None:
        """Have so many idle guests connected."""
        self._ask(f"guests {count}")

    def hold(self, each: int) -> int:
        """Every guest takes so many locks; returns how many that are."""
        (count,) = self._ask(f"hold {each}")
        return count

    def pairs(self, under_way: int, milliseconds: int) -> Pairs:
        """Acquire and release, that many calls at a time, for so long."""
        before = self._cpu_time()
        calls, took, *latencies = self._ask(f"pairs {under_way} {milliseconds}")
        cpu = (self._cpu_time() - before) / calls
        return Pairs(calls / took * 1e9, *(time / 1000 for time in (cpu, *latencies)))

    def bare(self, milliseconds: int) -> float:
        """As many calls' system calls per second, without a daemon."""
        calls, took = self._ask(f"bare {milliseconds}")
        return calls / took * 1e9

    def _ask(self, command: str) -> list[int]:
        assert self._load.stdin is not None
        assert self._load.stdout is not None
        self._load.stdin.write(f"{command}\n".encode())
        self._load.stdin.flush()
        answer = self._load.stdout.readline()
        if not answer:
            raise SystemExit(f"the load generator ended at '{command}'")
        return [int(number) for number in answer.split()]

    # --- the daemon

    @property
    def processes(self) -> list[int]:
        """The processes of the daemon, a parent before its children."""
        return [pid for pid in _descendants(self._daemon.pid) if pid != self._daemon.pid]

    def _cpu_time(self) -> int:
        """What the daemon's processes have been on a processor, in nanoseconds."""
        return sum(_cpu_time(task) for pid in self.processes for task in _tasks(pid))

    def memory(self) -> Memory:
        """What the daemon has resident."""
        sizes = {"Rss:": 0, "Pss:": 0}
        for pid in self.processes:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                for line in file:
                    key, *value = line.split()
                    if key in sizes:
                        sizes[key] += int(value[0])
        return Memory(sizes["Rss:"] / 1024, sizes["Pss:"] / 1024)

    def held(self) -> int:
        """How many files of the lockspace are locked: the kernel is asked for each, as its list of
        all locks lacks some while other programs lock and unlock."""
        with os.scandir(self._lockspace) as entries:
            return sum(_is_locked(entry.path) for entry in entries)

    def re_execute(self) -> Outage:
        """SIGUSR1. A daemon that did not start itself again ends the benchmark."""
        before = [_stack_of(pid) for pid in self.processes]
        outage = self._signal(self.processes[0], signal.SIGUSR1)
        if before == [_stack_of(pid) for pid in self.processes]:
            raise SystemExit("the daemon did not start itself again on SIGUSR1")
        return outage

    def crash(self) -> Outage:
        """SIGKILL for the process that does the work, the last child of the daemon's first."""
        return self._signal(self.processes[-1], signal.SIGKILL)

    def _signal(self, pid: int, number: signal.Signals) -> Outage:
        longest, answered = self._ask(f"outage {_pid_inside(pid)} {number} {_WINDOW}")
        return Outage(longest / 1e6, answered / 1e6)


def _is_locked(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # it was released a moment ago
    try:
        found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 1, 0))
    finally:
        os.close(fd)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def _tasks(pid: int) -> list[str]:
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def _cpu_time(task: str) -> int:
    with open(f"{task}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for child in _children(pid):
        yield from _descendants(child)


def _pid_inside(pid: int) -> int:
    """The pid that a process has in its own namespace."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("NSpid:"))
    return int(line.split()[-1])


def _stack_of(pid: int) -> str:
    """Where the stack begins: somewhere else after each exec."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[25]
