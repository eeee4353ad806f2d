"""What goes to a file system with a server begins after an answer, and one at a time."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from lockcfg import Mount
from lockd.locks import remote
from lockd.locks.remote import Remotes, SilentError
from lockd.log import Logging

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final


class Moments:
    """A loop, threads and turns that go on when the test says so."""

    def __init__(self) -> None:
        self.timers: Final[list[tuple[float, Callable[[], object]]]] = []
        self.asked: Final[deque[tuple[Callable[[], object], Callable[[], object]]]] = deque()
        #: Whether what has its turn is left in the midst of it, and what ends it then.
        self.parts = False
        self.left: Final[list[Callable[[], object]]] = []

    def after(self, seconds: float, call: Callable[[], object]) -> Any:
        self.timers.append((seconds, call))

    def run(self, *calls: Any) -> bool:
        """Of two: ask aside, and go on with the answer. Of three: something has its turn."""
        if len(calls) == 2:
            self.asked.append(calls)
            return False
        work, begin, end = calls
        begin()
        work()
        if self.parts:
            end(False)

            def go_on() -> None:
                begin()
                end(True)

            self.left.append(go_on)
        else:
            end(True)
        return False

    def outside(self, call: Callable[[], object]) -> object:
        """A call of the system that may take a while."""
        return call()

    def answer(self) -> None:
        """The server answers the first question."""
        question, then = self.asked.popleft()
        question()
        then()

    def now(self) -> None:
        """What is due at once."""
        for each in [each for each in self.timers if not each[0]]:
            self.timers.remove(each)
            each[1]()


@pytest.fixture
def moments() -> Moments:
    return Moments()


@pytest.fixture
def remotes(moments: Moments, monkeypatch: pytest.MonkeyPatch) -> Remotes:
    """Those of a host that has mounted two, on directories that are there."""
    mounts = [Mount(point, "nfs4", "server:/x", frozenset()) for point in ("/usr", "/etc")]
    monkeypatch.setattr(remote, "read_mounts", lambda: mounts)
    made = Remotes(moments, moments, moments, Logging().part("x"))  # type: ignore[arg-type]
    made.doubt = 0.0
    return made


def silent(remotes: Remotes, path: str) -> Any:
    """The file system that has to answer first."""
    with pytest.raises(SilentError) as caught:
        remotes.check(path)
    return caught.value.remote


def test_nothing_begins_without_a_question(remotes: Remotes, moments: Moments) -> None:
    """However lately the server has answered another one; a path on this host needs none."""
    remotes.check("/proc")
    done: list[str] = []

    def visit() -> None:
        remotes.check("/usr")
        done.append("visit")

    waits = silent(remotes, "/usr")
    waits.wait(visit)
    assert done == []
    moments.answer()
    assert done == ["visit"]
    assert silent(remotes, "/usr") is waits


def test_an_old_answer_is_none(remotes: Remotes, moments: Moments) -> None:
    """A visit to one file system comes to another, which has answered before the visit began."""
    other = silent(remotes, "/etc")
    other.wait(lambda: None)
    moments.answer()
    reached: list[str] = []

    def visit() -> None:
        remotes.check("/usr")
        try:
            remotes.check("/etc")
        except SilentError as error:
            assert error.remote is other
            # As a call does: it is made again from the start.
            other.wait(visit)
            return
        reached.append("both")

    time.sleep(0.001)
    silent(remotes, "/usr").wait(visit)
    moments.answer()
    assert reached == []
    moments.answer()
    assert reached == ["both"]


def test_one_at_a_time(remotes: Remotes, moments: Moments) -> None:
    """While the loop goes on without what has begun on a file system, nothing else begins there,
    neither what waits for it nor what comes to it from elsewhere."""
    done: list[str] = []
    usr = silent(remotes, "/usr")

    def visit() -> None:
        remotes.check("/usr")
        done.append("first")

    moments.parts = True
    usr.wait(visit)
    moments.answer()
    moments.parts = False
    assert done == ["first"]
    usr.wait(lambda: done.append("second"))
    moments.answer()
    assert done == ["first"]

    def from_elsewhere() -> None:
        remotes.check("/etc")
        try:
            remotes.check("/usr")
        except SilentError:
            done.append("refused")

    # Its server has just answered, and still it is not free.
    usr.answered = time.monotonic() + 60
    silent(remotes, "/etc").wait(from_elsewhere)
    moments.answer()
    assert done == ["first", "refused"]
    moments.left.pop()()
    moments.now()
    assert done == ["first", "refused", "second"]


def test_who_has_heard_nothing_says_so(
    remotes: Remotes, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error is an answer to what waits, but no sign that the server knows of this host."""
    usr = silent(remotes, "/usr")
    usr.wait(lambda: None)
    before = usr.heard
    with monkeypatch.context() as patch:

        def fail(_: str) -> None:
            raise OSError

        patch.setattr(os, "statvfs", fail)
        moments.answer()
    assert usr.failed
    assert usr.heard == before
    usr.wait(lambda: None)
    asked = usr.asked
    time.sleep(0.001)
    moments.answer()
    assert not usr.failed
    # It may have forgotten this host just after it was asked.
    assert usr.heard == asked > before


def test_one_that_is_new_here_may_have_been_silent(remotes: Remotes) -> None:
    """For as long as the process before this one may have been away."""
    remotes.doubt = 30.0
    usr = silent(remotes, "/usr")
    assert usr.heard <= time.monotonic() - 30


def test_what_is_unmounted_is_not_waited_for(
    remotes: Remotes, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its server, nor what has reached it and does not come back."""
    done: list[str] = []
    usr = silent(remotes, "/usr")
    moments.parts = True
    usr.wait(lambda: remotes.check("/usr"))
    moments.answer()
    moments.parts = False
    usr.wait(lambda: done.append("waits"))
    monkeypatch.setattr(remote, "read_mounts", list)
    remotes.forget()
    assert done == ["waits"]
    remotes.check("/usr")
