"""A guest that lockd ends keeps its locks until it has ended, whatever fails."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

import pytest

from lockd.kernel import process
from lockd.locks.guests import Guests
from lockd.locks.remote import SilentError
from lockd.locks.space import Owner
from lockd.log import Logging
from lockd.survival.records import JournalState, guests
from tests.lockd.locks.simulation import FakeClock, Files, Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

SPACE = "/space"

#: It does not end when it is asked to.
_STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); {}"


class Moments:
    """A loop that goes on when the test says so."""

    def __init__(self) -> None:
        self.due: Final[deque[Callable[[], object]]] = deque()
        self.watched: Final[dict[int, Callable[[int], object]]] = {}

    def after(self, _: float, call: Callable[[], object]) -> Any:
        self.due.append(call)
        timers = self.due

        class Timer:
            def cancel(self) -> None:
                timers.remove(call)

        return Timer()

    def watch(self, fd: int, _: int, call: Callable[[int], object]) -> None:
        self.watched[fd] = call

    def unwatch(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def report(self) -> None:
        """Something has happened to each descriptor, or not."""
        for call in [*self.watched.values()]:
            call(0)


class Dying:
    """A guest that holds a lock, in a process that ends when it is killed; a host that ends it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _STUBBORN.format("time.sleep(600)")], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.pid = self.process.pid
        self.started = process.start_time(self.pid)
        self.host = Host("one", Files(), FakeClock())
        self.host.engine.create_lockspace(SPACE)
        self.owner = Owner("guest", bytes(16), 1, self.pid)
        self.owner.started = self.started
        self.host.engine.acquire(SPACE, "disk", self.owner, shared=False, create=True)
        self.loop = Moments()
        self.log = Logging().part("locking.lock_daemon")
        self.guests = self.with_guests()

    def with_guests(self) -> Guests:
        """What ends guests, as a new process has it."""
        return Guests(self.host.engine, self.loop, self.host.journal, self.log)  # type: ignore[arg-type]

    @property
    def held(self) -> list[str]:
        """What it has locked."""
        return [each.name for each, _ in self.host.engine.table.held_by(self.pid)]

    @property
    def written(self) -> dict[tuple[int, int], Any]:
        """The guests that are being ended, by the journal."""
        return dict(JournalState(self.host.journal.read()).of(guests.Records).dying)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def dying() -> Iterator[Dying]:
    one = Dying()
    yield one
    one.end()


def fail(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_it_is_killed_if_it_does_not_end(dying: Dying) -> None:
    """Its locks stay until then, also if a report of its end turns out to be none."""
    dying.guests.end(dying.pid, dying.started)
    assert dying.written == {(dying.pid, dying.started): []}
    dying.loop.report()
    assert dying.held == ["disk"]
    assert dying.process.poll() is None
    dying.loop.due.popleft()()
    assert dying.process.wait(60) == -signal.SIGKILL
    assert dying.held == ["disk"]
    dying.loop.report()
    assert dying.held == []
    assert dying.written == {}
    assert not dying.guests
    assert (dying.loop.watched, [*dying.loop.due]) == ({}, [])


def test_it_cannot_be_looked_up(dying: Dying, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run, so its locks stay; lockd looks again."""
    with monkeypatch.context() as patch:
        patch.setattr(process, "open_process", fail)
        dying.guests.end(dying.pid, dying.started)
        assert dying.held == ["disk"]
        why = "cannot be looked up (Too many open files): its locks stay"
        assert [*dying.guests.problems()] == [(f"guest with pid {dying.pid}", why)]
    for _ in range(2):
        dying.loop.due.popleft()()
    assert dying.process.wait(60) == -signal.SIGKILL
    dying.loop.report()
    assert dying.held == []
    assert not [*dying.guests.problems()]


def test_whether_it_has_ended_is_not_told(dying: Dying, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it has not."""
    with monkeypatch.context() as patch:
        patch.setattr(process, "has_ended", fail)
        dying.guests.end(dying.pid, dying.started)
        dying.loop.report()
    assert dying.held == ["disk"]
    dying.end()
    dying.loop.report()
    assert dying.held == []


def test_its_locks_are_on_a_file_system_that_is_silent(
    dying: Dying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal tells which they are: another process may have the pid by the time that the
    server answers, and may have locks of its own."""
    waiting: list[Callable[[], object]] = []

    class Silent:
        def wait(self, call: Callable[[], object]) -> None:
            waiting.append(call)

    def check(_: object) -> None:
        raise SilentError(Silent())  # type: ignore[arg-type]

    dying.end()
    with monkeypatch.context() as patch:
        patch.setattr(dying.host.engine.files, "check_remote", check)
        dying.guests.end(dying.pid, dying.started)
        assert dying.held == ["disk"]
        left = [[SPACE, "disk", ["guest", "00" * 16, 1, dying.pid]]]
        assert dying.written == {(dying.pid, dying.started): left}
        # A crash, and the next process finds it in the same state.
        restored = dying.with_guests()
        restored.restore(dying.pid, dying.started, left)  # type: ignore[arg-type]
        assert dying.held == ["disk"]
    other = Owner("other", bytes(16), 2, dying.pid)
    dying.host.engine.acquire(SPACE, "other", other, shared=False, create=True)
    waiting.pop()()
    (held,) = dying.host.engine.table.resources()
    assert held.name == "other"
    assert not dying.written


def test_it_is_being_ended_already(dying: Dying) -> None:
    """What the journal says is left of it is not released while it may run."""
    left = [[SPACE, "disk", ["guest", "00" * 16, 1, dying.pid]]]
    dying.guests.end(dying.pid, dying.started)
    dying.guests.restore(dying.pid, dying.started, left)  # type: ignore[arg-type]
    assert dying.process.poll() is None
    assert dying.held == ["disk"]


def test_another_process_has_its_pid(dying: Dying) -> None:
    """That one's locks stay."""
    dying.end()
    other = Owner("other", bytes(16), 2, dying.pid)
    other.started = dying.started + 1
    dying.host.engine.acquire(SPACE, "other", other, shared=False, create=True)
    dying.guests.end(dying.pid, dying.started)
    (held,) = dying.host.engine.table.resources()
    assert held.name == "other"
    assert not dying.guests
