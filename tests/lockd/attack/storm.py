"""Faults of the system at random, for as long as one likes, into a lockd that works: errors of any
call, and death, of the daemon and of its supervisor. Beside it a thread reads /proc/locks all the
time: what a client was told that it holds is locked, and what it was told that it released is not.

    python -m tests.lockd.attack.storm --seconds 3600 --seed 1

Needs root and strace. It prints a line for each round that goes wrong, with what repeats it
(``--first``, ``--rounds``), and a summary; the exit status is 1 if there was such a round.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.lockd.attack.faults import (
    answer_of,
    held_by_the_kernel,
    injected,
    locks_of,
    own_file_system,
    status_of,
    wait_for_agreement,
)
from tests.lockd.client import ACQUIRE, AUTOCREATE, RELEASE, SHARED, Client, resource
from tests.lockd.engine import Engine, end, wait_for

if TYPE_CHECKING:
    import subprocess
    from typing import Final

#: The calls that lockd and its interpreter make, in all that it does. Those of which strace would
#: leave undone what the kernel does in spite of an error (close, munmap) are among them; shutdown
#: of a connected socket is not, which has nothing to fail for.
CALLS: Final = (
    *("openat", "close", "fcntl", "fstat", "newfstatat", "statx", "lseek", "read", "write"),
    *("pread64", "pwrite64", "ftruncate", "unlink", "mkdir", "readlink", "statfs", "fstatfs"),
    *("fsetxattr", "fgetxattr", "fremovexattr", "getdents64", "memfd_create", "mmap", "mremap"),
    *("munmap", "brk", "madvise", "epoll_wait", "epoll_ctl", "epoll_create1", "poll", "pipe2"),
    *("eventfd2", "socketpair", "socket", "bind", "connect", "accept4", "getsockopt"),
    *("setsockopt", "recvfrom", "sendto", "recvmsg", "sendmsg", "getsockname"),
    *("pidfd_open", "pidfd_send_signal", "clone3", "clone", "vfork", "execve", "wait4", "kill"),
    *("futex", "dup", "dup2", "dup3", "ioctl", "getrandom"),
    *("prctl", "prlimit64", "sched_yield", "fsync", "fadvise64", "rename", "umask"),
)

#: What calls fail with.
ERRORS: Final = (
    *("EMFILE", "ENFILE", "ENOSPC", "EIO", "ESTALE", "ENOMEM", "EINTR", "EAGAIN", "EACCES"),
    *("EPERM", "EROFS", "EDQUOT", "ENOLCK", "EDEADLK", "EBUSY", "ENODEV", "ENOTCONN"),
    *("ETIMEDOUT", "ENOBUFS", "EINVAL", "ENOSYS", "ELOOP", "EOVERFLOW", "EHOSTDOWN"),
)

#: What lockd says while no process keeps the descriptors: it warns of being killed then.
NOT_KEPT: Final = "the locks would not outlive a crash"

#: The process that has faults in a round, and what else happens in it.
DAEMON, SUPERVISOR, SUCCESSION = "daemon", "supervisor", "supervisor while the daemon is killed"

#: No process has these pids: the kernel gives out none as large.
NOBODY: Final = 1 << 23

_NAMES: Final = tuple(f"disk-{number}" for number in range(12))
_CALLS_A_ROUND: Final = 40

#: How often in a row a lock is missing in /proc/locks before it is.
_LOOKS: Final = 5

#: How long a client waits for its answer, in seconds.
_PATIENCE: Final = 10.0


class Round(NamedTuple):
    """What is done in one round, which its seed tells."""

    victim: str
    rules: tuple[str, ...]
    has_guest: bool
    ends_guest: bool
    dies: bool
    upgrades: bool


def plan(chance: random.Random) -> Round:
    """Choose one."""
    rules = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        calls = ",".join(chance.sample(CALLS, chance.choice((1, 1, 2, 6))))
        first = chance.choice((1, 1, 2, 3, chance.randrange(4, 60)))
        when = chance.choice((f"{first}", f"{first}", f"{first}+", f"{first}+{first + 1}"))
        what = f"error={chance.choice(ERRORS)}" if chance.random() < 0.9 else "signal=SIGKILL"
        if what.startswith("signal"):
            when = str(first)
        rules.append(f"{calls}:{what}:when={when}")
    victim = chance.choices((DAEMON, SUPERVISOR, SUCCESSION), (8, 1, 1))[0]
    if victim == SUCCESSION:
        # Nothing is promised if both are killed at once. The C library ends a process whose futex
        # fails in a way of its own.
        rules = [rule for rule in rules if not ("SIGKILL" in rule or "futex" in rule)]
        rules = rules or ["read:error=EIO:when=1"]
    has_guest = chance.random() < 0.3
    return Round(
        victim,
        tuple(rules),
        has_guest,
        has_guest and chance.random() < 0.7,
        victim == SUCCESSION or (victim == DAEMON and chance.random() < 0.1),
        victim == DAEMON and chance.random() < 0.1,
    )


class FoundError(Exception):
    """Something is otherwise than it was said to be."""


class Storm:
    """Rounds, on one engine. ``said`` counts the answers of a kind."""

    def __init__(self, engine: Engine, trace: Path) -> None:
        self._engine: Final = engine
        self._trace: Final = trace
        self._clients: Final[dict[int, Client]] = {}
        #: The locks of each client, as far as a reply confirmed them; and the calls without a
        #: reply.
        self.held: Final[dict[tuple[int, str], bool]] = {}
        self.unsure: Final[set[tuple[int, str]]] = set()
        self.said: Final[Counter[str]] = Counter()
        self.injected = 0
        #: How often each was released: what is held again is not what was held before.
        self._released: Final[Counter[tuple[int, str]]] = Counter()
        #: Those that have had no answer, which may be as long as there are faults.
        self._waiting: Final[list[Client]] = []
        self._lost = ""

    # --- calls

    def _call(self, pid: int, procedure: int, name: str, flags: int) -> str:
        if pid not in self._clients:
            try:
                client = Client(self._engine.socket, timeout=_PATIENCE)
                said = answer_of(client.register, f"guest-{pid - NOBODY}", pid)
            except TimeoutError:
                self._waiting.append(client)
                return "nobody answers"
            except OSError as error:
                return f"no connection: {error.strerror}"
            if said:
                client.close()
                return f"no connection: {said}"
            self._clients[pid] = client
        call = self._clients[pid].call
        try:
            said = answer_of(call, procedure, resource(self._engine.lockspace, name, flags))
        except TimeoutError:
            said = "hung up"
            self._waiting.append(self._clients[pid])
        if said == "hung up":
            client = self._clients.pop(pid)
            if client not in self._waiting:
                client.close()
            self.unsure.add((pid, name))
            self.held.pop((pid, name), None)
        return said

    def acquire(self, pid: int, name: str, *, shared: bool) -> None:
        """One call, and whether its answer can be."""
        said = self._call(pid, ACQUIRE, name, AUTOCREATE | (SHARED if shared else 0))
        if not said:
            others = [how for (who, what), how in self.held.items() if what == name and who != pid]
            if others and not (shared and all(others)):
                raise FoundError(f"{name} was given to two")
            self.held[pid, name] = shared
        self._count(said)

    def release(self, pid: int, name: str) -> None:
        """One call, and whether its answer can be."""
        before = self.held.pop((pid, name), None)
        self._released[pid, name] += 1
        said = self._call(pid, RELEASE, name, 0)
        if said and said != "hung up" and before is not None:
            if "is not locked" in said or "does not hold" in said:
                raise FoundError(f"{name} was held, and is not: {said}")
            self.held[pid, name] = before
        self._count(said)

    def _count(self, said: str) -> None:
        self.said[said.split(":")[0][:60] if said else "done"] += 1

    def close(self) -> None:
        """Hang up."""
        for client in (*self._clients.values(), *self._waiting):
            client.close()

    # --- beside it

    def _watch(self, until: threading.Event, process: subprocess.Popen[bytes] | None) -> None:
        """Read /proc/locks again and again: what is held before and after, is locked."""
        missing: Counter[str] = Counter()
        while not until.is_set():
            before = {(each, self._released[each]) for each in [*self.held]}
            guest = process is not None and process.poll() is None
            try:
                locked = held_by_the_kernel(self._engine.lockspace)
                inodes = {each.name: each.inode() for each in os.scandir(self._engine.lockspace)}
            except OSError:
                continue
            still_held = {(each, self._released[each]) for each in [*self.held]}
            wanted = {name for (_, name), _ in before & still_held}
            if guest and process is not None and process.poll() is None:
                wanted.add("own")
            # The kernel gives the table in pieces, and leaves out of it what moves in between.
            missing = Counter(
                {name: missing[name] + 1 for name in wanted if inodes.get(name) not in locked}
            )
            for name, times in missing.items():
                if times == _LOOKS:
                    self._lost = f"{name} is held, and not locked"
                    return
            until.wait(0.01)

    # --- rounds

    def run(self, chance: random.Random, what: Round) -> None:
        """One round. Raises FoundError, AssertionError."""
        engine = self._engine
        guest = None
        if what.has_guest:
            guest = engine.guest("own")
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(over, guest))
        watch.start()
        try:
            self._with_faults(chance, what, guest)
        finally:
            over.set()
            watch.join()
        if guest is not None:
            guest.kill()
            guest.communicate()
        self._look()

    def _with_faults(
        self, chance: random.Random, what: Round, guest: subprocess.Popen[bytes] | None
    ) -> None:
        daemon, supervisor = processes_of(self._engine)
        victim = daemon if what.victim == DAEMON else supervisor
        events = {chance.randrange(_CALLS_A_ROUND): each for each in what._fields[3:]}
        with injected(victim, self._trace, *what.rules) as strace:
            for number in range(_CALLS_A_ROUND):
                event = events.get(number)
                if event == "ends_guest" and what.ends_guest and guest is not None:
                    guest.kill()
                if event == "dies" and what.dies:
                    _kill(daemon, signal.SIGKILL)
                if event == "upgrades" and what.upgrades:
                    _kill(daemon, signal.SIGUSR1)
                pid, name = NOBODY + chance.randrange(4), chance.choice(_NAMES)
                if (pid, name) in self.held or (pid, name) in self.unsure:
                    self.release(pid, name)
                else:
                    self.acquire(pid, name, shared=chance.random() < 0.3)
                if self._lost:
                    raise FoundError(self._lost)
                if self._waiting:
                    break
            self.injected += strace.count

    def _look(self) -> None:
        """Whether all agree again: the engine, the kernel, and what clients were told."""
        engine = self._engine
        while self._waiting:
            with self._waiting.pop() as client:
                client.socket.settimeout(30)
                try:
                    client.receive()
                except EOFError:
                    pass
                except TimeoutError:
                    raise FoundError("a client waits for its answer for ever") from None
        wait_for(lambda: all(each["resource"] != "own" for each in locks_of(engine)), "its end", 30)
        wait_for_agreement(engine, 40)
        if self._lost:
            raise FoundError(self._lost)
        known = {
            (owner["pid"], lock["resource"])
            for lock in locks_of(engine)
            for owner in lock["owners"]
        }
        lost, left = set(self.held) - known, known - set(self.held) - self.unsure
        if lost or left:
            raise FoundError(f"of what was answered {sorted(lost)} is lost, {sorted(left)} is left")
        shared = {lock["resource"]: lock["mode"] == "shared" for lock in locks_of(engine)}
        for pid, name in self.unsure & known:
            self.held[pid, name] = shared[name]
        self.unsure.clear()


def processes_of(engine: Engine) -> tuple[int, int]:
    """The daemon and its supervisor, whichever these are by now."""
    found = 0, 0

    def are_there() -> bool:
        nonlocal found
        status = status_of(engine)
        daemon = status["pid"]
        try:
            lines = Path(f"/proc/{daemon}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        found = daemon, int(re.findall(r"PPid:\s*(\d+)", lines)[0])
        return bool(status["keeper"] == "ok")

    wait_for(are_there, "there is a daemon, and a supervisor")
    return found


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has died of its fault
        os.kill(pid, number)


def run(
    directory: Path, seed: int, seconds: float, first: int = 0, most: int = sys.maxsize
) -> tuple[int, list[str], Counter[str], int]:
    """Rounds of ``seed`` from the ``first`` on, for so many seconds and ``most`` of them: how many
    there were, what was found, what was answered, and how many calls were spoilt."""
    until = time.monotonic() + seconds
    found: list[str] = []
    said: Counter[str] = Counter()
    number, spoilt = first, 0
    while time.monotonic() < until and number < first + most:
        place = directory / f"engine-{number}"
        place.mkdir()
        with own_file_system(place / "lockspace"), Engine(place) as engine:
            storm = Storm(engine, place / "trace")
            while time.monotonic() < until and number < first + most:
                # A string, as the same for every version of Python.
                chance = random.Random(f"{seed} {number}")
                what = plan(chance)
                told = engine.log.count(NOT_KEPT)
                try:
                    storm.run(chance, what)
                except (FoundError, AssertionError, OSError, EOFError) as error:
                    number += 1
                    if engine.log.count(NOT_KEPT) > told and "held" in str(error):
                        storm.said["killed while it said that locks would not outlive it"] += 1
                        break
                    number -= 1
                    found.append(f"seed {seed}, round {number}: {what}: {error!r}")
                    sys.stderr.write(f"{found[-1]}\n{engine.log[-2000:]}\n")
                number += 1
                if found and found[-1].startswith(f"seed {seed}, round {number - 1}:"):
                    break
            storm.close()
            with suppress(AssertionError, OSError):
                # It may be another supervisor than the one that was started.
                end(processes_of(engine)[1])
            said += storm.said
            said["errors of its own"] += engine.log.count("Traceback")
            spoilt += storm.injected
    return number - first, found, said, spoilt


def main() -> int:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="ROUND")
    parser.add_argument("--rounds", type=int, default=sys.maxsize)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockd-storm-") as directory:
        rounds, found, said, spoilt = run(
            Path(directory), options.seed, options.seconds, options.first, options.rounds
        )
    sys.stdout.write(
        f"seed {options.seed}: {rounds} rounds, {sum(said.values())} calls, {spoilt} of the system"
        f" spoilt, {len(found)} findings\n"
    )
    for answer, times in said.most_common():
        sys.stdout.write(f"{times:8} {answer}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
