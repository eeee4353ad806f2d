"""Queues of descriptors, and that a service manager always has a whole one. The manager here is a
socket that takes what lockd sends."""

from __future__ import annotations

import errno
import os
import resource
import socket
from contextlib import ExitStack
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from lockd.log import Logging
from lockd.survival.keeper import Keeper
from lockd.survival.queues import (
    add,
    fill,
    look_into,
    look_into_all,
    make_ready,
    put,
    received,
    rights_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

#: More than two messages carry.
MANY = 600


class Manager:
    """What it was told, and the queues that it has. Each message is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queues: dict[str, int] = {}
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self.path.unlink()

    def read(self) -> None:
        """Do what it was told, as systemd does."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 4096, 2)
            except BlockingIOError:
                return
            told = dict(line.split("=", 1) for line in data.decode().splitlines())
            name = told.get("FDNAME", "")
            self.said.append(f"{next(iter(told))} {name}".strip())
            if "FDSTORE" in told:
                (self.queues[name],) = fds
            else:
                for fd in fds:
                    os.close(fd)
                if "FDSTOREREMOVE" in told:
                    os.close(self.queues.pop(name))

    def end(self) -> None:
        """Close what it has."""
        for fd in self.queues.values():
            os.close(fd)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.end()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[tuple[str, int]]]:
    """Open files, by names that tell them apart."""
    found = []
    for number in range(MANY):
        fd = os.open(tmp_path / f"f{number}", os.O_RDWR | os.O_CREAT, 0o600)
        found.append((f"f{number}", fd))
    yield found
    for _, fd in found:
        os.close(fd)


def inodes(kept: dict[str, int]) -> dict[str, int]:
    """Which file each descriptor is of; they are closed then."""
    found = {name: os.fstat(fd).st_ino for name, fd in kept.items()}
    for fd in kept.values():
        os.close(fd)
    return found


def test_more_than_a_message_carries(files: list[tuple[str, int]]) -> None:
    """All of them come out, each time that it is looked into."""
    ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ahead, behind:
        fill(ahead, files)
        expected = {name: os.fstat(fd).st_ino for name, fd in files}
        assert inodes(look_into(behind.fileno())) == expected
        assert inodes(look_into(behind.fileno())) == expected


def test_the_last_one_with_a_name_counts(files: list[tuple[str, int]]) -> None:
    """The number of a lock is used again."""
    ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ahead, behind:
        fill(ahead, files[:3])
        put(ahead, [("f1", files[5][1])])
        found = inodes(look_into(behind.fileno()))
    assert found["f1"] == os.fstat(files[5][1]).st_ino
    assert len(found) == 3


def test_the_manager_has_the_old_queue_until_it_has_the_new_one(
    manager: Manager, files: list[tuple[str, int]]
) -> None:
    """Whatever becomes of it meanwhile."""
    with ExitStack() as stack:
        there = stack.enter_context(ExitStack())
        there.enter_context(manager)
        log = Logging().part("locking.lock_daemon")
        keeper = Keeper(str(manager.path), log, {}, {})
        assert keeper._manager is not None
        stack.enter_context(keeper._manager)  # a daemon has it until it ends
        keeper.everything = lambda: iter(files)
        keeper.renew()
        manager.read()
        (name,) = manager.queues
        expected = {name: os.fstat(fd).st_ino for name, fd in files}
        assert inodes(look_into(manager.queues[name])) == expected
        there.close()  # it is gone

        keeper.forget()
        keeper.renew()
        assert "no longer keeps" not in keeper.lost
        assert keeper.lost
        assert [*keeper.descriptors()] == [name]
        assert inodes(keeper.contents()) == expected

        stack.enter_context(manager)  # and here again
        manager.said.clear()
        for _ in range(10):
            keeper.tend()
            manager.read()
        assert not keeper.lost
        assert [*manager.queues] == [*keeper.descriptors()] != [name]
        assert inodes(look_into(*manager.queues.values())) == expected
        stored = manager.said.index(f"FDSTORE {next(iter(manager.queues))}")
        assert manager.said.index(f"FDSTOREREMOVE {name}") > stored
        keeper.keep_nothing()
        manager.read()
        assert manager.queues == {}
        assert keeper.descriptors() == {}


def test_a_new_queue_is_filled_in_parts_while_others_are_kept(
    manager: Manager, files: list[tuple[str, int]]
) -> None:
    """The manager has all in the old one until the new one has all, too: what is kept meanwhile is
    in both, and what was forgotten before it was put into the new one is not there."""
    with ExitStack() as stack:
        stack.enter_context(manager)
        log = Logging().part("locking.lock_daemon")
        keeper = Keeper(str(manager.path), log, {}, {})
        assert keeper._manager is not None
        stack.enter_context(keeper._manager)
        *first, one, another, gone = files
        needed = dict([*first, gone])
        keeper.everything = lambda: (each for each in [*needed.items()] if each[0] in needed)
        keeper.renew()
        manager.read()
        (old,) = manager.queues

        keeper.keep(one[1], one[0])
        needed[one[0]] = one[1]
        keeper.forget()
        while not keeper.has_next_queue:
            keeper.tend()
            manager.read()
        keeper.go_on()
        keeper.keep(another[1], another[0])
        del needed[gone[0]]
        manager.read()
        assert [*manager.queues] == [old]
        assert another[0] in inodes(look_into(manager.queues[old]))
        for _ in range(len(files)):
            keeper.go_on()
        manager.read()
        assert [*manager.queues] == [*keeper.descriptors()] != [old]
        expected = {name: os.fstat(fd).st_ino for name, fd in [*first, one, another]}
        assert inodes(look_into(*manager.queues.values())) == expected
        keeper.keep_nothing()


@pytest.fixture
def keeper(manager: Manager) -> Iterator[Keeper]:
    """One whose manager is there, and which has nothing to keep."""
    with manager:
        made = Keeper(str(manager.path), Logging().part("locking.lock_daemon"), {}, {})
        made.everything = tuple
        assert made._manager is not None
        with made._manager:
            yield made
            made.keep_nothing()
            manager.read()


def test_a_message_that_is_not_taken_is_sent_again(
    manager: Manager, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And until then it is not said to have been sent."""
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        patch.setattr(keeper, "_tell", refuse)
        assert not keeper.watch(10.0)
        manager.read()
        manager.said.clear()
    assert keeper.is_busy
    keeper.tend()
    manager.read()
    assert "WATCHDOG_USEC" in manager.said
    assert keeper.watch(10.0)


def test_what_does_not_fit_into_a_queue_is_in_the_next_one(
    manager: Manager,
    keeper: Keeper,
    files: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all the rest."""
    keeper.everything = lambda: iter(files[:3])
    keeper.renew()
    monkeypatch.setattr(keeper, "_put", lambda *_: BlockingIOError(errno.EAGAIN, "full"))
    keeper.keep(files[3][1], files[3][0])
    manager.read()
    found = inodes(look_into(*manager.queues.values()))
    assert found == {name: os.fstat(fd).st_ino for name, fd in files[:4]}


def test_a_queue_with_many_single_messages_is_replaced(
    keeper: Keeper, files: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel goes through all of them each time."""
    monkeypatch.setattr("lockd.survival.keeper._SINGLES", 3)
    has_next = []
    for name, fd in files[:4]:
        keeper.keep(fd, name)
        has_next.append(keeper.has_next_queue)
    assert has_next == [False, False, False, True]


def test_the_queues_of_the_process_before_are_passed_on(
    manager: Manager, files: list[tuple[str, int]]
) -> None:
    """As long as the manager takes no new one; and the new one has another name."""
    keeper = Keeper(str(manager.path), Logging().part("x"), {}, {"q5": os.dup(files[0][1])})
    assert keeper._manager is not None
    with keeper._manager:
        assert [*keeper.descriptors()] == ["q5"]
        keeper.everything = tuple
        with manager:
            manager.queues["q5"] = os.dup(files[0][1])
            keeper.renew()
            manager.read()
            assert [*keeper.descriptors()] == [*manager.queues] == ["q6"]
            keeper.keep_nothing()
            manager.read()


def test_who_sends_into_a_queue_that_is_full_does_not_wait(files: list[tuple[str, int]]) -> None:
    """It is told that there is no more room."""
    ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ahead, behind:
        make_ready(ahead)
        assert not ahead.getblocking()
        with pytest.raises(BlockingIOError):
            fill(ahead, cycle(files))


def test_no_program_that_is_started_has_what_was_kept(files: list[tuple[str, int]]) -> None:
    """A guest that had a lock's descriptor would keep the lock."""
    ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ahead, behind:
        fill(ahead, files[:3])
        found = look_into(behind.fileno())
        assert [os.get_inheritable(fd) for fd in found.values()] == [False] * 3
        inodes(found)


def test_more_is_kept_than_a_process_may_have_open(files: list[tuple[str, int]]) -> None:
    """It is told, nothing stays open, and all is in the queue still."""
    ahead, behind = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ahead, behind:
        fill(ahead, files)
        before = len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 300, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                look_into(behind.fileno())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(inodes(look_into(behind.fileno()))) == MANY


def test_no_queue_overtakes_a_message_that_waits(
    manager: Manager, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager would forget the queue that it got last."""
    keeper.renew()
    manager.read()
    (name,) = manager.queues
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        patch.setattr(keeper, "_tell", refuse)
        keeper._post("STATUS=x")
        manager.said.clear()
        patch.undo()
        patch.setattr(keeper, "_flush", lambda: False)
        keeper.renew()
        manager.read()
        assert [*manager.queues] == [*keeper.descriptors()] == [name]
    assert keeper.lost


def test_what_has_no_name_is_not_taken_for_something_else(files: list[tuple[str, int]]) -> None:
    """A message has as many names as descriptors."""
    found: dict[str, int] = {}
    with pytest.raises(ValueError, match="zip"):
        add(found, ["a"], [files[0][1], files[1][1]])


def test_a_message_that_was_cut_has_no_half_of_a_descriptor(files: list[tuple[str, int]]) -> None:
    """The kernel cuts where the room ends."""
    level, kind, content = rights_of([fd for _, fd in files[:2]])
    assert received([(level, kind, content.tobytes()[:-1])]) == [files[0][1]]
    assert received([(level, kind + 1, content.tobytes())]) == []


def test_what_is_not_kept_is_told_although_the_last_failure_was_just_now(
    keeper: Keeper, files: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that ended then would lose the lock."""
    monkeypatch.setattr("lockd.survival.keeper._PAUSE", 1000)
    keeper.everything = lambda: iter(files[:3])
    keeper.renew()
    keeper._fail(OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS)))
    keeper.lost = ""
    with monkeypatch.context() as patch:
        patch.setattr(keeper, "_put", lambda *_: OSError(errno.ETOOMANYREFS, "too many"))
        keeper.keep(files[3][1], files[3][0])
    assert keeper.lost == "too many"
    assert keeper.is_busy


def test_after_a_crash_there_is_a_queue_at_once_beside_the_old_ones(
    manager: Manager, files: list[tuple[str, int]]
) -> None:
    """What is kept goes into it, and counts if the name was another's. A complete queue replaces
    all of them, in parts."""
    old = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with manager, old[0], old[1]:
        fill(old[0], files[:3])
        manager.queues["q5"] = os.dup(old[1].fileno())
        keeper = Keeper(
            str(manager.path),
            Logging().part("x"),
            dict(files[:3]),
            {"q5": os.dup(old[1].fileno())},
            after_crash=True,
        )
        assert keeper._manager is not None
        with keeper._manager:
            manager.read()
            assert [*manager.queues] == [*keeper.descriptors()] == ["q5", "q6"]
            assert look_into(manager.queues["q6"]) == {}
            keeper.keep(files[3][1], "f1")
            expected = {name: os.fstat(fd).st_ino for name, fd in files[:3]}
            expected["f1"] = os.fstat(files[3][1]).st_ino
            assert inodes(look_into_all(manager.queues)) == expected
            assert inodes(keeper.contents()) == expected

            now = [files[0], files[2], ("f1", files[3][1])]
            keeper.everything = lambda: iter(now)
            for _ in range(4):
                keeper.tend()
                keeper.go_on()
                manager.read()
            assert [*manager.queues] == [*keeper.descriptors()] == ["q7"]
            assert inodes(look_into_all(manager.queues)) == expected
            keeper.keep_nothing()
            manager.read()
    assert manager.queues == {}


def test_daemons_that_end_at_once_leave_no_row_of_queues(manager: Manager) -> None:
    """systemd keeps only so many descriptors."""
    ends = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(4)]
    with manager, ExitStack() as stack:
        for pair in ends:
            for each in pair:
                stack.enter_context(each)
        for number, (_, behind) in enumerate(ends, 1):
            manager.queues[f"q{number}"] = os.dup(behind.fileno())
        given = {name: os.dup(fd) for name, fd in manager.queues.items()}
        keeper = Keeper(str(manager.path), Logging().part("x"), {}, given, after_crash=True)
        assert keeper._manager is not None
        with keeper._manager:
            manager.read()
            assert [*manager.queues] == [*keeper.descriptors()] == ["q5"]
            keeper.keep_nothing()
            manager.read()
