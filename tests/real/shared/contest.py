"""Two guests on two hosts fight for one resource, through a lock daemon each."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.real.shared.daemons import SOCKET, lock_daemons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, Self

    from tests.real.shared.hosts import Host, Network

_SOURCE: Final = Path(__file__).with_name("hammer.c")

#: How long a guest keeps the resource, in seconds. Two that own it at once are only seen when
#: they do so for longer than a call takes.
HOLD: Final = 0.002

_RESOURCE_BUSY: Final = 87
_ACQUIRE: Final = 6

#: How long a guest may take beyond its time to tell what it saw, in seconds.
_PATIENCE: Final = 30.0


class Failure(NamedTuple):
    """Calls that failed in one way: the procedure's number, libvirt's error code, how many, and
    the message of the first."""

    procedure: int
    code: int
    calls: int
    message: str


class Guest(NamedTuple):
    """What one guest saw: when it owned the resource (begin and end, in seconds of a clock that
    all hosts share), and which calls failed."""

    owned: list[tuple[float, float]]
    failures: list[Failure]

    @property
    def errors(self) -> list[Failure]:
        """The failures that are not an answer to the question: all but a resource that is held."""
        return [
            failure
            for failure in self.failures
            if (failure.procedure, failure.code) != (_ACQUIRE, _RESOURCE_BUSY)
        ]

    @property
    def longest_wait(self) -> float:
        """The longest time from one grant's end to the next one's begin, in seconds."""
        ends = [end for _, end in self.owned]
        return max(
            (begin - end for (begin, _), end in zip(self.owned[1:], ends, strict=False)),
            default=float("inf"),
        )


class Contest(NamedTuple):
    """What the guests on the two hosts saw of one contest."""

    one: Guest
    two: Guest

    @classmethod
    def from_record(cls, record: Sequence[tuple[list[list[float]], list[list[Any]]]]) -> Self:
        """The contest as it comes out of JSON."""
        return cls(
            *(
                Guest([(begin, end) for begin, end in owned], [Failure(*each) for each in failures])
                for owned, failures in record
            )
        )

    @property
    def grants(self) -> int:
        """How often the resource was granted."""
        return len(self.one.owned) + len(self.two.owned)

    @property
    def double_owners(self) -> int:
        """How often both owned it at once."""
        return double_owners(self.one.owned, self.two.owned)

    @property
    def smaller_share(self) -> float:
        """The share of the grants that the host with fewer of them got, from 0 to 0.5."""
        return min(len(self.one.owned), len(self.two.owned)) / max(self.grants, 1)

    def __str__(self) -> str:
        guests = "; ".join(
            f"{len(guest.owned)} grants, longest wait {guest.longest_wait:.3f} s, "
            f"errors {guest.errors}"
            for guest in self
        )
        return f"{self.double_owners} double owners of {self.grants} grants ({guests})"


def double_owners(one: list[tuple[float, float]], two: list[tuple[float, float]]) -> int:
    """How many pairs of one interval each overlap. The intervals of a list are in order."""
    count = first = second = 0
    while first < len(one) and second < len(two):
        (begin, end), (other_begin, other_end) = one[first], two[second]
        if begin < other_end and other_begin < end:
            count += 1
        if end < other_end:
            first += 1
        else:
            second += 1
    return count


class Ring:
    """Where contests are held: two hosts with a lock daemon each, and a lockspace, which is a
    directory on what they share. ``hammer`` is the program of :func:`build_hammer`."""

    def __init__(self, hosts: Sequence[Host], lockspace: str, hammer: Path) -> None:
        self._hosts: Final = hosts
        self._lockspace: Final = lockspace
        self._hammer: Final = hammer

    def fight(self, *, seconds: int, grants: int = 0, hold: float = HOLD) -> Contest:
        """Let the guests fight for that long, or until each was granted the resource so often.

        Raises RuntimeError when a guest gives up.
        """
        with tempfile.TemporaryDirectory() as directory:
            outputs = [Path(directory, host.name) for host in self._hosts]
            guests = []
            for host, output in zip(self._hosts, outputs, strict=True):
                command = (self._hammer, SOCKET, self._lockspace, "disk")
                limits = (str(seconds), str(grants), str(int(hold * 1e6)))
                with output.open("w") as stdout:
                    guests.append(
                        host.popen(*command, *limits, stdout=stdout, stderr=subprocess.PIPE)
                    )
            for guest in guests:
                _, error = guest.communicate(timeout=seconds + _PATIENCE)
                if guest.returncode:
                    raise RuntimeError(f"a guest gave up: {error}")
            return Contest(*(_read(output) for output in outputs))

    def hand_over(self, *, hold: float) -> float:
        """How long after a guest let the resource go the other one had it, in seconds.

        Both try, and keep it for ``hold`` seconds, once.
        """
        contest = self.fight(seconds=10, grants=1, hold=hold)
        if contest.grants != 2 or contest.double_owners:
            raise RuntimeError(f"no hand-over: {contest}")
        (first, second) = sorted([*contest.one.owned, *contest.two.owned])
        return second[0] - first[1]


@contextlib.contextmanager
def ring(
    hosts: Network, daemons: tuple[Path, Path], lockspace: str, hammer: Path, *options: str
) -> Iterator[Ring]:
    """A ring in which these lock daemons run, with these options."""
    # Two virtlockds that make one directory at the same time may refuse it.
    for host in hosts.clients:
        host.sh('mkdir -p "$1"; ls -d "$1"/', lockspace)
    with lock_daemons(hosts.clients, daemons, *options):
        yield Ring(hosts.clients, lockspace, hammer)


def build_hammer(directory: Path) -> Path:
    """Compile the hammer; returns the program."""
    hammer = directory / "hammer"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", hammer, _SOURCE], check=True)
    return hammer


def _read(output: Path) -> Guest:
    """What the hammer printed."""
    guest = Guest([], [])
    for line in output.read_text(errors="replace").splitlines():
        kind, *words = line.split(" ", 4)
        if kind == "own":
            begin, end = (int(word) / 1e9 for word in words)
            guest.owned.append((begin, end))
        else:
            procedure, code, count = map(int, words[:3])
            guest.failures.append(Failure(procedure, code, count, words[3]))
    return guest
