"""A fault at one call of the system after the other, while a thief tries all locks all the time.

A *scene* is what an engine is asked to do. It is played once without a fault, and strace tells
which calls of the system the engine makes. Then it is played again for each of these calls: the
engine is killed there, or the call fails with an error. Afterwards each answered call still holds,
the thief has never found a held lock free, and nothing is left over.
"""

from __future__ import annotations

import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.lockd.attack.faults import (
    Strace,
    answer_of,
    held_by_the_kernel,
    injected,
    locks_of,
    wait_for_agreement,
)
from tests.lockd.client import ACQUIRE, AUTOCREATE, RELEASE, Client, resource
from tests.lockd.engine import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final, Self

    from tests.lockd.engine import Engine

#: The names that are locked.
NAMES: Final = ("kept", "a", "b", "c", "own-1", "own-2")

#: The errors that a call of the system can give. A name that is not here gets no error: it only
#: tells something, and cannot fail.
ERRORS: Final = {
    "openat": "ENOSPC EIO EMFILE ENFILE ENOMEM ESTALE EINTR EDQUOT EACCES EROFS",
    "fcntl": "EIO ENOLCK ENOMEM ESTALE EINTR EACCES",
    "fstat": "EIO ENOMEM ESTALE",
    "newfstatat": "EIO ENOMEM ESTALE EACCES",
    "stat": "EIO ENOMEM ESTALE EACCES",
    "lstat": "EIO ENOMEM ESTALE EACCES",
    "statx": "EIO ENOMEM ESTALE EACCES",
    "unlink": "EIO ENOMEM ESTALE ENOSPC EDQUOT EACCES EROFS",
    "rename": "EIO ENOMEM ESTALE ENOSPC EDQUOT EACCES EROFS",
    "mkdir": "EIO ENOMEM ESTALE ENOSPC EDQUOT EACCES EROFS",
    "chmod": "EIO ENOMEM ESTALE EACCES EROFS",
    "fsetxattr": "EIO ENOMEM ESTALE ENOSPC EDQUOT EACCES EROFS",
    "fremovexattr": "EIO ENOMEM ESTALE ENOSPC EDQUOT EACCES EROFS",
    "fgetxattr": "EIO ENOMEM ESTALE EACCES",
    "ftruncate": "EIO EINTR ENOSPC EDQUOT ENOMEM EROFS",
    "fallocate": "EIO EINTR ENOSPC EDQUOT ENOMEM",
    "read": "EIO ENOMEM ESTALE EINTR EACCES",
    "pread64": "EIO ENOMEM ESTALE EINTR",
    "write": "EIO ENOMEM ESTALE EINTR ENOSPC EDQUOT",
    "pwrite64": "EIO ENOMEM ESTALE EINTR ENOSPC EDQUOT",
    "fsync": "EIO ENOSPC EDQUOT",
    "getdents64": "EIO ENOMEM ESTALE",
    "readlink": "EIO ENOMEM ESTALE EACCES",
    "close": "EIO EINTR ENOSPC EDQUOT",
    "mmap": "ENOMEM ENFILE EACCES",
    "mremap": "ENOMEM",
    "memfd_create": "EMFILE ENFILE ENOMEM",
    "pidfd_open": "EMFILE ENFILE ENOMEM",
    "pipe2": "EMFILE ENFILE ENOMEM",
    "socket": "EMFILE ENFILE ENOMEM EACCES",
    "socketpair": "EMFILE ENFILE ENOMEM",
    "accept4": "EMFILE ENFILE ENOMEM EINTR",
    "dup": "EMFILE",
    "dup2": "EMFILE",
    "epoll_create1": "EMFILE ENFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "epoll_wait": "EINTR",
    "poll": "ENOMEM EINTR",
    "sendto": "ENOMEM EINTR",
    "sendmsg": "ENOMEM EINTR",
    "recvfrom": "ENOMEM EINTR",
    "recvmsg": "ENOMEM EINTR",
    "setsockopt": "ENOMEM",
    "getsockopt": "ENOMEM",
    "bind": "ENOMEM EACCES EROFS ENOSPC EIO",
    "listen": "ENOMEM",
    "shutdown": "ENOMEM",
    "execve": "EIO EMFILE ENFILE ENOMEM EACCES",
    "vfork": "ENOMEM",
    "clone": "ENOMEM",
    "clone3": "ENOMEM",
    "ioctl": "EIO",
}

#: The calls that leave everything as it was: a kill at one of them is the kill at the next one.
READS: Final = {
    *("read", "pread64", "fstat", "newfstatat", "stat", "lstat", "statx", "lseek", "readlink"),
    *("access", "getdents64", "fgetxattr", "getpid", "getppid", "getuid", "geteuid", "getgid"),
    *("getegid", "getcwd", "getrandom", "uname", "sysinfo", "prlimit64", "sched_yield"),
    *(
        "clock_gettime",
        "clock_nanosleep",
        "epoll_wait",
        "poll",
        "mprotect",
        "brk",
        "mmap",
        "munmap",
    ),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "getsockopt", "getsockname"),
    *(
        "ioctl",
        "futex",
        "madvise",
        "restart_syscall",
        "wait4",
        "fadvise64",
        "gettid",
        "sched_getaffinity",
    ),
}

#: The calls whose number depends on how fast things are, and that change nothing.
IDLE: Final = {"sched_yield", "epoll_wait", "clock_nanosleep", "restart_syscall", "futex", "poll"}


class Point(NamedTuple):
    """A call of the system, by its name and its number among those of that name, and the error that
    it gives; without one, the engine is killed there."""

    call: str
    number: int
    error: str = ""

    @property
    def rule(self) -> str:
        """As strace has it."""
        what = f"error={self.error}" if self.error else "signal=SIGKILL"
        return f"{self.call}:{what}:when={self.number}"


def calls_in(trace: str) -> Counter[str]:
    """How often each call of the system is in a trace. One that was interrupted counts once."""
    return Counter(re.findall(r"^(?:\d+ +)?([a-z0-9_]+)\(", trace, re.M))


def kills(calls: Counter[str], *, everywhere: bool) -> list[Point]:
    """A kill at each call; those that only read are left out if it is not to be ``everywhere``."""
    left_out = IDLE if everywhere else READS
    return [
        Point(call, number)
        for call in sorted(calls)
        if call not in left_out
        for number in range(1, calls[call] + 1)
    ]


def errors(calls: Counter[str]) -> list[Point]:
    """Each call with each error that it can give."""
    return [
        Point(call, number, error)
        for call in sorted(calls)
        for error in ERRORS.get(call, "").split()
        for number in range(1, (1 if call in IDLE else calls[call]) + 1)
    ]


def some(points: list[Point], most: int, seed: int) -> list[Point]:
    """So many of them, by chance, in a way that each kind of call has the same chance."""
    chance = random.Random(seed)
    kinds: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        kinds.setdefault((point.call, point.error), []).append(point)
    names = sorted(kinds)
    chance.shuffle(names)
    found: list[Point] = []
    while names and len(found) < most:
        for name in [*names]:
            found.append(kinds[name].pop(chance.randrange(len(kinds[name]))))
            if not kinds[name]:
                names.remove(name)
            if len(found) == most:
                break
    return found


#: Tries all locks, and notes when each was free last: the time goes into a file, a number each,
#: after the number of rounds. A thief that can lock the file, or make it, finds it free.
_THIEF: Final = """
import fcntl, mmap, os, struct, sys, time
directory, page, pause, *names = sys.argv[1:]
memory = mmap.mmap(os.open(page, os.O_RDWR), 4096)
lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
paths = [f"{directory}/{name}" for name in names]
rounds = 0
while True:
    for index, path in enumerate(paths, 1):
        now = time.monotonic()
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            is_free = True
        else:
            answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, lock)
            # One that is removed by now is not what the name stands for.
            is_free = answer[:2] == struct.pack("h", fcntl.F_UNLCK) and os.fstat(fd).st_nlink
            os.close(fd)
        if is_free:
            struct.pack_into("d", memory, 8 * index, now)
    rounds += 1
    struct.pack_into("d", memory, 0, rounds)
    time.sleep(float(pause))
"""


class Thief:
    """Another process that tries the locks in a lockspace."""

    def __init__(self, lockspace: Path, page: Path, pause: float) -> None:
        page.write_bytes(bytes(4096))
        self._page: Final = page
        command = [
            sys.executable,
            "-S",
            "-c",
            _THIEF,
            str(lockspace),
            str(page),
            str(pause),
            *NAMES,
        ]
        self._process: Final = subprocess.Popen(command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _number(self, index: int) -> float:
        found: float = struct.unpack_from("d", self._page.read_bytes(), 8 * index)[0]
        return found

    @property
    def rounds(self) -> int:
        """How often it has tried all of them."""
        return int(self._number(0))

    def free_at(self, name: str) -> float:
        """When it found that one free last."""
        return self._number(1 + NAMES.index(name))


class Book:
    """What a client was told, held against what is so. It acts for a guest without a process, and
    connects again where it is disconnected."""

    def __init__(self, engine: Engine, thief: Thief, guest: tuple[str, int]) -> None:
        self._engine: Final = engine
        self._thief: Final = thief
        self._guest: Final = guest
        self._client: Client | None = None
        #: How often each name was granted, and since when it is held.
        self.count: Final[Counter[str]] = Counter()
        self._since: Final[dict[str, float]] = {}
        #: The names of calls that were not answered.
        self.unsure: Final[set[str]] = set()

    def acquire(self, name: str, flags: int = AUTOCREATE) -> str:
        """What it is told."""
        said = self._call(ACQUIRE, name, flags)
        if not said:
            self.granted(name)
        return said

    def granted(self, name: str) -> None:
        """A lock is held from now on."""
        if not self.count[name]:
            self._since[name] = time.monotonic()
        self.count[name] += 1

    def release(self, name: str) -> str:
        """What it is told."""
        self.check(name)
        said = self._call(RELEASE, name, 0)
        if not said:
            self.let_go(name)
        return said

    def let_go(self, name: str) -> None:
        """A lock may be free from now on."""
        self.count[name] -= 1

    def check(self, *names: str) -> None:
        """The thief has not found free what is held."""
        for name in names or NAMES:
            if self.count[name] > 0 and name not in self.unsure:
                free = self._thief.free_at(name)
                assert free < self._since[name], f"{name} was free while it was held"

    def _call(self, procedure: int, name: str, flags: int) -> str:
        for _ in range(3):
            try:
                if self._client is None:
                    self._client = self._engine.client()
                    self._client.register(*self._guest)
                break
            except (EOFError, OSError):  # it is disconnected before it has asked for anything
                self.hang_up()
                time.sleep(0.05)
        if self._client is None:
            return "it cannot be reached"
        said = answer_of(
            self._client.call, procedure, resource(self._engine.lockspace, name, flags)
        )
        if said == "hung up":
            self.unsure.add(name)
            self.hang_up()
        assert "an error of its own" not in said
        return said

    def hang_up(self) -> None:
        """Connect again the next time."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def settle(self) -> None:
        """Hold the engine to what it has said, then let everything go."""
        wait_for_agreement(self._engine)
        known = Counter({each["resource"]: len(each["owners"]) for each in locks_of(self._engine)})
        said = Counter({name: count for name, count in self.count.items() if count > 0})
        for name in {*known, *said} - self.unsure:
            assert known[name] == said[name], f"{name}: {known[name]} for {said[name]}"
        # What was never answered may have been done once, not more.
        for name in self.unsure:
            assert abs(known[name] - said[name]) <= 2
        self.check()
        for name, count in known.items():
            for _ in range(count):
                self.count[name] = 0
                assert self._call(RELEASE, name, 0) == ""
        self.count.clear()
        self._since.clear()
        self.unsure.clear()
        self.hang_up()


class Leftovers(NamedTuple):
    """What there is when nothing is asked for: descriptors by kind, processes, files."""

    engine: Counter[str]
    supervisor: Counter[str]
    processes: int
    files: frozenset[str]


def leftovers(engine: Engine) -> Leftovers:
    """What there is now."""
    supervisor = engine.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    below = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in children]
    return Leftovers(
        _descriptors(engine.pid),
        _descriptors(supervisor),
        len(children) + sum(map(len, below)),
        frozenset(
            str(path.relative_to(directory))
            for directory in (engine.run, engine.lockspace)
            for path in directory.rglob("*")
        ),
    )


def _descriptors(pid: int) -> Counter[str]:
    """The descriptors of a process by kind: a number in a name is left out."""
    found: Counter[str] = Counter()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[re.sub(r"\d+", "N", os.readlink(path))] += 1
    return found


def settled_leftovers(engine: Engine, book: Book) -> Leftovers:
    """What there is when the files of released locks are gone.

    A file whose lock could not be taken, or not be written down, may be left: only who has locked
    it may remove it. The next release of that name does.
    """
    wait_for(lambda: not held_by_the_kernel(engine.lockspace), "no lock is held")
    deadline = time.monotonic() + 1
    while [*engine.lockspace.iterdir()] and time.monotonic() < deadline:
        time.sleep(0.01)
    for path in engine.lockspace.iterdir():
        assert not path.stat().st_size
        assert book.acquire(path.name) == ""
        assert book.release(path.name) == ""
    book.hang_up()
    wait_for(lambda: not [*engine.lockspace.iterdir()], "the lock files are removed")
    return leftovers(engine)


@contextmanager
def stopped_at_its_start(engine: Engine, trigger: Path) -> Iterator[int]:
    """The pid of the next daemon, which stops before it begins; it goes on afterwards. The program
    has to be one that :func:`with_a_stop` has changed."""
    pid = 0

    def has_stopped() -> bool:
        nonlocal pid
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = engine.pid
            return bool(pid) and ") T " in Path(f"/proc/{pid}/stat").read_text()
        return False

    wait_for(has_stopped, "the next daemon has stopped")
    trigger.unlink(missing_ok=True)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def traced(pid: int, log: Path, points: Sequence[Point]) -> Iterator[Strace]:
    """Have those faults in a process, in its main thread alone: strace counts in each thread."""
    with injected(pid, log, *(point.rule for point in points), follow=False) as strace:
        yield strace
