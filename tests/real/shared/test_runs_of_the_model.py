"""What lockd really does on a file system that hosts share is a run of the model of it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proofs.traces import STRACE, Step, merged, refused_at
from tests.lockd.client import AUTOCREATE, SHARED, CallRefusedError, Client
from tests.lockd.program import Copy
from tests.real.shared.daemons import LOCKD, SOCKET, lock_daemons
from tests.real.shared.gluster import MOUNT, gluster_network
from tests.tracing import attached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from tests.real.shared.hosts import Host, Network

#: What is wrong with a lockd whose runs are none of the model: the file, and what is replaced.
MUTANTS: Final = {
    "it does not look whether the file has its name": (
        "kernel/filelock.py",
        "        if not may_be_shared(mine.st_dev, path):\n",
        "        if True:\n",
    ),
    "it asks no server": (
        "kernel/statx.py",
        "    if flush:\n",
        "    return True\n    if flush:\n",
    ),
    "it removes the file": (
        "locks/idle.py",
        "        local = not self._files.has_other_hosts(resource)\n",
        "        local = True\n",
    ),
    "it takes a shared lock for an exclusive one": (
        "kernel/filelock.py",
        "_EXCLUSIVE: Final = _FLOCK.pack(fcntl.F_WRLCK,",
        "_EXCLUSIVE: Final = _FLOCK.pack(fcntl.F_RDLCK,",
    ),
    "it locks nothing": (
        "kernel/filelock.py",
        "            posix = _lock(fd, _SHARED if shared else _EXCLUSIVE)\n",
        "            posix = False\n",
    ),
}

#: Those that are tried where no more is asked for.
SHORT: Final = ("it does not look whether the file has its name", "it locks nothing")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with gluster_network(tmp_path_factory.mktemp("gluster")) as network:
        yield network


def play(hosts: Network, program: Path, scratch: Path, name: str, *wanted: int) -> list[Step]:
    """Two guests on two hosts that want one lock, one after the other; what their daemons do."""
    lockspace, scratch = f"{MOUNT}/{name}", scratch / name
    scratch.mkdir()
    with lock_daemons(hosts.clients, (program, program)), ExitStack() as stack:
        guests = []
        for number, host in enumerate(hosts.clients):
            guest = stack.enter_context(Client(host.path(SOCKET)))
            guest.register("guest", (1 << 23) + number)
            guest.create_lockspace(lockspace)
            guests.append(guest)
            log = scratch / f"trace-{number}"
            stack.enter_context(traced(host, log))
        one, two = guests
        for flags in wanted:
            one.acquire(lockspace, "disk", flags)
            with suppress(CallRefusedError):  # a wrong one may grant it
                two.acquire(lockspace, "disk")
            one.release(lockspace, "disk")
            with suppress(CallRefusedError):
                two.acquire(lockspace, "disk", flags)
            two.release(lockspace, "disk")
    traces = {number: (scratch / f"trace-{number}").read_text() for number in range(2)}
    return merged(traces, f"{lockspace}/disk")


@contextmanager
def traced(host: Host, log: Path) -> Iterator[None]:
    """Trace the lock daemon of a host."""
    with attached(daemon_of(host), log, *STRACE):
        yield


def daemon_of(host: Host) -> int:
    """The pid of the lock daemon of a host, as this side sees it: the child of a process of that
    name."""
    todo = [host.pid]
    while todo:
        pid = todo.pop()
        children = [
            int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
        if children and Path(f"/proc/{pid}/comm").read_text() == "lockd\n":
            return children[0]
        todo += children
    raise AssertionError("there is no lock daemon")


def told(steps: Sequence[Step]) -> list[str]:
    """The steps in short."""
    return [f"{step.host} {step.what}" for step in steps]


#: The model with two hosts, and what makes locks shared there as well.
DEFINE: Final = ("HOSTS=2",)


def test_it_is_a_run_of_the_model(hosts: Network, tmp_path: Path) -> None:
    steps = play(hosts, LOCKD, tmp_path, "right", AUTOCREATE, AUTOCREATE | SHARED)
    print(f"{len(steps)} steps: {', '.join(told(steps))}")
    assert refused_at(steps, (*DEFINE, "SHARED")) is None, told(steps)
    first = next(number for number, step in enumerate(steps) if step.what == "SHARE") - 1
    assert refused_at(steps[:first], DEFINE) is None
    assert refused_at(steps, DEFINE) == first + 2  # where all locks are exclusive
    wanted = ["0 OPEN", "0 LOCK", "0 SAME", "0 HOLD", "1 OPEN", "1 REFUSED", "0 UNLOCK", "1 OPEN"]
    assert told(steps)[: len(wanted)] == wanted
    assert [step.what for step in steps].count("HOLD") == 4


@pytest.mark.parametrize("mutant", SHORT)
def test_a_wrong_one_is_refused(hosts: Network, tmp_path: Path, mutant: str) -> None:
    is_refused(hosts, tmp_path, mutant)


@pytest.mark.usefixtures("takes_a_minute")
@pytest.mark.parametrize("mutant", sorted(MUTANTS.keys() - SHORT))
def test_others_are_refused(hosts: Network, tmp_path: Path, mutant: str) -> None:
    is_refused(hosts, tmp_path, mutant)


def is_refused(hosts: Network, tmp_path: Path, mutant: str) -> None:
    """What a wrong lockd does is no run of the model."""
    copy = Copy(tmp_path)
    copy.change(*MUTANTS[mutant])
    program = tmp_path / "lockd"
    start, *rest = copy.command
    program.write_text(f"#!{start} -B\n{rest[-1]}\n")
    program.chmod(0o755)
    steps = play(hosts, program, tmp_path, mutant.replace(" ", "-"), AUTOCREATE)
    at = refused_at(steps, DEFINE)
    assert at is not None, told(steps)
    print(f"{mutant}: no run of the model from step {at} on: {told(steps)[:at]}")
