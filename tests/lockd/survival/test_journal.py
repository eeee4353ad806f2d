"""A journal that is damaged is refused, and one that is not is read."""

from __future__ import annotations

import errno
import gc
import json
import mmap
import os
import resource
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from lockd.kernel.reserve import insist
from lockd.locks.space import Owner
from lockd.survival.journal import MOST_ANSWERED, Journal, JournalError, Part
from lockd.survival.records.encoding import parsed, record
from tests.lockd.rpc.daemon import make_daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def rewrite(
    journal: Journal, records: Iterable[str], keep: Callable[[], object] = lambda: None
) -> None:
    """Continue in a new journal."""
    journal.begin_next(records)
    journal.go_on(keep)
    assert not journal.has_next


def test_what_is_written_is_read() -> None:
    """Also when it has grown beyond its room. What is read at a time ends with a record, and may
    begin with one that is longer than that."""
    journal = Journal.create(1)
    lengths = [50000 if index % 5000 == 100 else 50 for index in range(20000)]
    records = [["space", f"/{index}" * length] for index, length in enumerate(lengths)]
    for each in records:
        journal.append(record(each[0], *each[1:]))
    again = Journal(os.dup(journal.fd))
    blocks = [*again.read()]
    assert all(block.endswith(b"]\n") for block in blocks)
    assert 90 < len(blocks) < 200
    assert sum(len(block) > 70_000 for block in blocks) == 4
    assert [*parsed(blocks)] == records
    assert json.loads(again.last()) == records[-1]
    again.close()
    journal.close()


@pytest.mark.parametrize(
    ("content", "length", "why"),
    [
        (b"", 1, "shorter than it says"),
        (b'["format",1]\n', 1 << 63, "shorter than it says"),
        (b'["format",2]\n', 13, "has format 2, which this version does not know"),
        (b'["format",[]]\n', 14, "which this version does not know"),
        (b'["space","/"]\n', 14, "which this version does not know"),
        (b'["format",1', 11, "cannot be read"),
        (b"7\n", 2, "cannot be read"),
        (b"[1]\n", 4, "cannot be read"),
        (b"[" * 100000, 100000, "cannot be read"),
        (b"\xff\xfe\xfd\n", 4, "cannot be read"),
        (b"", 0, "cannot be read"),
    ],
)
def test_damaged(content: bytes, length: int, why: str) -> None:
    """Each says what is wrong."""
    fd = os.memfd_create("journal")
    head = bytes(8) + length.to_bytes(8, sys.byteorder)
    os.pwrite(fd, head.ljust(mmap.PAGESIZE, b"\0") + content, 0)
    with pytest.raises(JournalError, match=why):
        list(Journal(fd).read())
    os.close(fd)


def test_what_an_acquisition_adds(tmp_path: Path) -> None:
    """It is as much as it was for the one before it, however many there are of one resource."""
    daemon = make_daemon("1:file:/dev/null")
    daemon.engine.create_lockspace(str(tmp_path))
    guest = Owner("guest", bytes(16), 1, 5004242)
    sizes = []
    for _ in range(100):
        before = size_of(daemon.journal)
        daemon.engine.acquire(str(tmp_path), "disk", guest, shared=True, create=True)
        sizes.append(size_of(daemon.journal) - before)
    assert len(set(sizes[1:])) == 1
    daemon.engine.release_everything()


def size_of(journal: Journal) -> int:
    """How much is in a journal, in bytes."""
    return sum(map(len, journal.read()))


def test_no_beginning() -> None:
    """A file that never was a journal."""
    fd = os.memfd_create("journal")
    with pytest.raises(JournalError, match="no beginning"):
        Journal(fd)
    os.close(fd)


def test_what_a_new_journal_is_made_of_is_not_kept() -> None:
    """A table that had thousands of locks keeps the room for them, also when it is empty."""
    journal = Journal.create(1)
    part = Part({1: 1}, lambda _: ("[]",), ("lock",))
    seen = weakref.ref(part)
    journal.begin_next((), [part])
    del part
    assert seen() is not None
    journal.go_on(lambda: None)
    assert not journal.has_next
    assert seen() is None
    journal.close()


def test_written_anew() -> None:
    """It goes on in other memory, with what is true now; the old is there until that is kept."""
    journal = Journal.create(1)
    for index in range(1000):
        journal.append(record("space", f"/{index}"))
    journal.serve(7)
    before = os.dup(journal.fd)
    seen: list[tuple[int, int]] = []

    fd = journal.fd

    def keep() -> None:
        # The process has it still, for the case that this fails.
        assert os.fstat(fd).st_ino == os.fstat(before).st_ino
        old = Journal(os.dup(before))
        seen.append((journal.number, len([*parsed(old.read())])))
        old.close()

    rewrite(journal, [record("space", "/left")], keep)
    journal.append(record("space", "/new"))
    assert seen == [(2, 1000)]
    assert journal.served == 0
    assert [each[1] for each in parsed(journal.read())] == ["/left", "/new"]
    again = Journal(os.dup(journal.fd), 2)
    assert [*again.read()] == [*journal.read()]
    assert os.fstat(before).st_ino != os.fstat(journal.fd).st_ino
    again.close()
    journal.close()
    os.close(before)


class Lamps:
    """What a journal tells of: lamps that are on or off. They have numbers, and get others."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.on = {number: number % 2 for number in range(1, 501)}

    def part(self) -> Part:
        """All of them."""
        return Part(
            {number: number for number in self.on},
            lambda number: [record("lamp", number, self.on[number])],
            ("lamp", "turn", "move", "break"),
            end="break",
            renumbers="move",
        )

    def change(self, kind: str, number: int) -> None:
        """Change one, and write that down."""
        if kind == "lamp":
            self.on[number] = 0
            self.journal.append(record("lamp", number, 0))
        elif kind == "turn":
            self.on[number] = 1 - self.on[number]
            self.journal.append(record("turn", number, "by hand"))
        elif kind == "move":
            self.on[number + 1000] = self.on.pop(number)
            self.journal.append(record("move", number, number + 1000, self.on[number + 1000]))
        else:
            del self.on[number]
            self.journal.append(record("break", number))

    def told(self) -> dict[int, int]:
        """What the journal comes to. A record of a lamp that it does not know is an error."""
        on: dict[int, int] = {}
        for kind, number, *fields in parsed(self.journal.read()):
            if kind == "lamp":
                on[number] = fields[0]
            elif kind == "turn":
                on[number] = 1 - on[number]
            elif kind == "move":
                del on[number]
                on[fields[0]] = fields[1]
            elif kind == "break":
                del on[number]
        return on


def test_written_anew_in_parts_while_things_change() -> None:
    """The old one has everything until the end, and then the new one has: whatever changes, before
    or after it is written there."""
    journal = Journal.create(1)
    lamps = Lamps(journal)
    for text in lamps.part().records():
        journal.append(text)
    journal.begin_next([record("space", "/first")], [lamps.part()])
    kinds = ("lamp", "turn", "move", "break")
    later = [9000]
    for index in range(100):
        number, again = 1 + index, 500 - index
        lamps.change(kinds[index % 4], number)
        lamps.change(kinds[index % 4], again)
        # One that is new, and changes at once.
        later.append(later[-1] + 1)
        lamps.change("lamp", later[-1])
        lamps.change(kinds[1 + index % 3], later[-1])
        journal.append(record("other", number))
        assert lamps.told() == lamps.on
        if index % 10 == 0 and journal.has_next:
            journal.go_on(lambda: None)
            assert lamps.told() == lamps.on
    assert (journal.number, journal.has_next) == (2, False)
    told = [*parsed(journal.read())]
    assert told[0] == ["space", "/first"]
    assert [each[1] for each in told if each[0] == "other"] == [*range(1, 101)]
    journal.close()


def test_a_new_journal_that_cannot_grow_is_given_up() -> None:
    """The old one goes on, and another new one can be begun."""
    journal = Journal.create(1)
    before = os.listdir("/proc/self/fd")
    long = {number: record("lamp", number, "x" * 4000) for number in range(1, 65)}
    parts = [Part({**long, 0: record("lamp", 0, "x" * (3 << 20))}, lambda each: [each], ("lamp",))]
    journal.begin_next((), parts)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        journal.go_on(lambda: None)
        with pytest.raises(OSError, match="too large"):
            journal.go_on(lambda: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (journal.number, journal.has_next) == (1, False)
    large = record("lamp", 1, "x" * (1 << 20))
    for _ in range(7):
        journal.append(large)  # it has room for more now, as the next one has not
    journal.begin_next(())
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        for _ in range(3):
            journal.append(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (journal.number, journal.has_next) == (1, False)
    assert len([*parsed(journal.read())]) == 10
    assert len(os.listdir("/proc/self/fd")) == len(before)
    journal.close()


def test_a_new_journal_that_fails_leaves_no_descriptor() -> None:
    """At whichever of its descriptors there is none left; also if nothing collects garbage."""
    journal = Journal.create(1)
    before = os.listdir("/proc/self/fd")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failed = 0
    gc.disable()
    try:
        for more in range(4):
            # Those that are free, from the lowest on: the call has exactly so many.
            free = [os.dup(0) for _ in range(more + 1)]
            for each in free:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free[more], hard))
            try:
                insist(lambda: journal.begin_next(()))
                journal.go_on(lambda: None)
            except OSError as error:
                assert error.errno == errno.EMFILE
                failed += 1
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert len(os.listdir("/proc/self/fd")) == len(before)
    finally:
        gc.enable()
    assert failed == 3  # its memory, its front, its records
    assert [*journal.read()] == []
    journal.close()


def test_the_last_answer_is_there_for_the_next_process() -> None:
    """Also the longest that there is room for in front of the records, and none once it is sent."""
    journal = Journal.create(1)
    again = Journal(os.dup(journal.fd))
    for answer in (b"x", bytes(range(256)) * 15 + b"y" * 192):
        journal.serve(5)
        assert (again.served, again.answered) == (5, b"")
        journal.answer(answer)
        assert (again.served, again.answered) == (5, answer)
    assert len(answer) == MOST_ANSWERED
    journal.serve(0)
    assert (again.served, again.answered) == (0, b"")
    assert [*again.read()] == []
    again.close()
    journal.close()


def test_it_is_rewritten_when_it_has_grown_by_so_much_and_by_half() -> None:
    journal = Journal.create(1)
    line = record("space", "/" + "x" * 65_000)
    size = len(line) + 1
    mebibyte = 1 << 20
    for records in ((), [line] * 20, [line] * 80):
        rewrite(journal, records)
        begin = len(records) * size
        written = 0
        while not journal.is_long:
            journal.append(line)
            written += size
        grown = max(mebibyte, begin // 2)
        assert grown < written + size
        assert written - 2 * size < grown
    journal.close()


def test_one_of_an_earlier_process_is_rewritten_if_it_is_not_short() -> None:
    """How much of it is obsolete is unknown, and it would grow with each start."""
    journal = Journal.create(1)
    while not journal.is_long:
        again = Journal(os.dup(journal.fd))
        assert not again.is_long
        again.close()
        journal.append(record("space", "/" + "x" * 65_000))
    again = Journal(os.dup(journal.fd))
    assert again.is_long
    again.close()
    journal.close()


def test_memory_that_cannot_grow_leaves_no_descriptor() -> None:
    """The limit of the size of files holds for it too."""
    journal = Journal.create(1)
    before = os.listdir("/proc/self/fd")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            rewrite(journal, ())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    journal.close()


def test_memory_that_takes_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it may where memory is short."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:7], at))
    journal = Journal.create(1)
    rewrite(journal, [record("space", f"/{index}") for index in range(9)])
    assert [each[1] for each in parsed(journal.read())] == [f"/{index}" for index in range(9)]
    journal.close()


def test_what_it_says_at_every_moment() -> None:
    """A process can be killed between any two of its stores: then each record is whole, no other
    client is taken for the one that is served, and no answer for one to it."""
    journal = Journal.create(1)
    seen: list[tuple[int, bytes]] = []

    class Watched:
        """The numbers in front, of which it is told after each store."""

        def __init__(self, head: memoryview) -> None:
            self.head = head

        def __getitem__(self, at: int) -> int:
            return self.head[at]

        def __setitem__(self, at: int, number: int) -> None:
            self.head[at] = number
            seen.append((journal.served, journal.answered))
            # What the journal counts is there in whole.
            again = Journal(os.dup(journal.fd))
            assert [each[1] for each in parsed(again.read())] == ["/whole"]
            again.close()

        def release(self) -> None:
            self.head.release()

    journal._head = Watched(journal._head)  # type: ignore[assignment]
    journal.append(record("space", "/whole"))
    seen.clear()
    journal.serve(5)
    journal.answer(b"first")
    journal.serve(6)
    assert {each for each in seen if each[0]} == {(5, b""), (5, b"first"), (6, b"")}
    assert seen[-1] == (6, b"")
    journal.close()
