"""What the record of all writes says of the guests. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Write(NamedTuple):
    """A write: when (nanoseconds of CLOCK_MONOTONIC), to which disk, by which guest, in which
    process, at which offset, and its first four bytes in hex. A process is its pid and its start
    time, as pids are used again."""

    at: int
    disk: str
    guest: str
    process: str
    offset: int
    data: str

    def line(self) -> str:
        """Its line in the record."""
        return " ".join(map(str, self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Write:
        """The write that a line tells of."""
        at, disk, guest, process, offset, data = line.split()
        return cls(int(at), disk, guest, process, int(offset), data)


class Verdict(NamedTuple):
    """What came of a record: how many writes, how often a disk went from one guest to another, and
    each write of a guest whose disk another had written meanwhile."""

    writes: int
    hand_overs: int
    interleaved: list[Write]


def judge(writes: Iterable[Write]) -> Verdict:
    """Whether two guests ever wrote one disk in turns.

    A guest that is started is a new process, and it is over when the process is. So the first write
    of another process is a hand-over, and a write of a process that had been followed by another is
    one that must not be.
    """
    last: dict[str, str] = {}
    over: set[tuple[str, str]] = set()
    count = hand_overs = 0
    interleaved = []
    for write in writes:
        count += 1
        before = last.get(write.disk, write.process)
        if (write.disk, write.process) in over:
            interleaved.append(write)
        elif before != write.process:
            hand_overs += 1
        if before != write.process:
            over.add((write.disk, before))
        last[write.disk] = write.process
    return Verdict(count, hand_overs, interleaved)


def read(lines: Iterable[str]) -> Iterator[Write]:
    """The writes of the guests in a record."""
    return (write for write in map(Write.from_line, lines) if write.guest != "-")
