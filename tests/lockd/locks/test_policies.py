"""What becomes of a guest whose lock is lost, on a host in memory."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from lockcfg import Mount
from lockd.kernel import freezer, process
from lockd.locks import failures
from lockd.locks.deadline import deadline
from lockd.locks.failures import Failures, Policy
from lockd.locks.space import Owner
from lockd.log import Logging
from lockd.survival.records import JournalState, stopped
from tests.lockd.locks.simulation import SPACE, two_hosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from lockd.locks.space import Resource

PID, STARTED = 4242, 99


class Remote:
    """A file system that heard of this host then, and answered then."""

    def __init__(self, mount: Mount, *, heard: float, answered: float, asked: float) -> None:
        self.mount = mount
        self.heard, self.answered, self.asked = heard, answered, asked
        self.failed = False


class Watched:
    """A guest with two locks, and what has become of it: what was done, in order."""

    def __init__(self, policy: Policy) -> None:
        self.host, _, _, _ = two_hosts(is_shared=True)
        self.done: Final[list[str]] = []
        self.remotes: Final[list[Remote]] = []
        self.described = ""
        self.owner = Owner("guest", bytes(16), 1, PID)
        self.owner.started = STARTED
        for name in ("a", "b"):
            self.host.engine.acquire(SPACE, name, self.owner, shared=False, create=True)
        self.policy = policy
        self.failures = self.again()

    def again(self) -> Failures:
        """What a new process has."""
        return Failures(
            self.host.engine,
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.policy,
            self,  # type: ignore[arg-type]
            self.host.journal,
            Logging().part("locking.lock_daemon"),
            tell=lambda _, why: self.done.append(f"tell {why}"),
            start=lambda uuid: self.done.append(f"start {uuid}"),
        )

    def lock(self, name: str) -> Resource:
        """One of its locks."""
        return self.host.engine.table.spaces[SPACE].resources[name]

    @property
    def written(self) -> dict[tuple[int, int], Any]:
        """The stopped guests, by the journal."""
        return dict(JournalState(self.host.journal.read()).of(stopped.Records).stopped)

    # --- what the policy works with

    def on_lockfailure(self, *_: object) -> str:
        return self.described

    def check_path(self, _: str) -> None:
        """Descriptions are on this host."""

    def behind(self, _: str) -> list[Remote]:
        return self.remotes

    def look(self, resources: list[Resource]) -> None:
        self.done.append(f"look at {len(resources)}")

    def end(self, pid: int, started: int, _: float) -> None:
        self.done.append(f"end {pid} {started}")

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        # A sweep that took a while goes on at once.
        if seconds <= failures._REST:
            call()


def fail(*_: object) -> None:
    """What has no descriptor."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Under the policy to pause it. What stops a process does so only in the list."""
    one = Watched(Policy("report", {SPACE: "pause"}, 0.0))

    def stop(fd: int, _: str) -> None:
        # The next process must know it, wherever this one is killed.
        assert (PID, STARTED) in one.written
        assert os.fstat(fd)
        one.done.append("stop")

    def go_on(*_: object) -> None:
        one.done.append("go on")

    monkeypatch.setattr(process, "open_process", lambda *_: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(freezer, "group_of", lambda _: "")
    monkeypatch.setattr(freezer, "stop", stop)
    monkeypatch.setattr(freezer, "is_stopped", lambda *_: True)
    monkeypatch.setattr(freezer, "go_on", go_on)
    return one


def test_it_resumes_when_it_has_its_locks_again(watched: Watched) -> None:
    """All of them, and no other host has had one."""
    for name in "ab":
        watched.failures.on_standing(watched.lock(name), "lost", f"{name} is lost")
    assert watched.done == ["stop", "tell a is lost"]
    watched.failures.on_standing(watched.lock("a"), "regained", "")
    assert [each[1] for each in watched.written[PID, STARTED][3]] == ["b"]
    watched.failures.on_standing(watched.lock("b"), "held", "")
    assert watched.done[2:] == ["go on", "tell "]
    assert watched.written == {}
    assert not watched.failures


def test_it_does_not_resume_if_another_host_may_have_had_its_lock(watched: Watched) -> None:
    """Only a person may say so, and only while the locks are held."""
    lock = watched.lock("a")
    watched.failures.on_standing(lock, "lost", "it is lost")
    watched.failures.on_standing(lock, "anew", "")
    watched.failures.on_standing(lock, "held", "")
    watched.failures.on_standing(lock, "lost", "it is lost")
    watched.failures.on_standing(lock, "held", "")
    assert watched.done == ["stop", "tell it is lost"]
    ((_, _, _, may_have_had),) = watched.written[PID, STARTED][3]
    assert may_have_had
    lock.problem = "it is lost"
    assert watched.failures.resume("guest") == f"the lock {SPACE}/a is not held: it is lost"
    assert "go on" not in watched.done
    lock.problem = ""
    assert watched.failures.resume("other") == "no guest 'other' is paused for a lock"
    assert watched.failures.resume("guest") == ""
    assert watched.done[2:] == ["go on", "tell "]


def test_a_person_cannot_resume_it_without_its_lock(watched: Watched) -> None:
    """Even if the check of the lock has not found the loss yet."""
    watched.failures.on_standing(watched.lock("a"), "lost", "it is lost")
    assert watched.failures.resume("guest") == f"the lock {SPACE}/a is not held: it is lost"
    assert watched.done == ["stop", "tell it is lost"]


def test_it_is_stopped_again_by_the_next_process(watched: Watched) -> None:
    """The one before may have been killed before it came to that."""
    watched.failures.on_standing(watched.lock("a"), "lost", "it is lost")
    ((guest, what),) = watched.written.items()
    after = watched.again()
    after.restore(guest, what)
    assert watched.done[2:] == ["stop", "tell it is lost"]
    after.on_standing(watched.lock("a"), "held", "")
    assert watched.done[4:] == ["go on", "tell "]


def test_what_cannot_be_resumed_stays_stopped(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, also when it no longer has its locks."""
    watched.failures.on_standing(watched.lock("a"), "lost", "it is lost")
    with monkeypatch.context() as patch:
        patch.setattr(freezer, "go_on", fail)
        watched.failures.on_standing(watched.lock("a"), "held", "")
    assert [each[1] for each in watched.written[PID, STARTED][3]] == ["a"]
    assert [*watched.failures.records()] == [
        stopped.stopped(PID, STARTED, watched.written[PID, STARTED])
    ]
    watched.host.engine.release(SPACE, "a", watched.owner)
    watched.host.engine.release(SPACE, "b", watched.owner)
    # Another process has its pid.
    other = Owner("other", bytes(16), 2, PID)
    other.started = STARTED + 1
    watched.host.engine.acquire(SPACE, "c", other, shared=False, create=True)
    watched.failures._beat()
    assert watched.done[2:4] == ["go on", "tell "]
    assert watched.written == {}


def test_it_resumes_as_soon_as_it_can(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have no descriptor left for a moment."""
    watched.failures.on_standing(watched.lock("a"), "lost", "it is lost")
    with monkeypatch.context() as patch:
        patch.setattr(freezer, "go_on", fail)
        for _ in range(2):
            watched.failures.on_standing(watched.lock("a"), "held", "")
    watched.failures.on_standing(watched.lock("a"), "held", "")
    assert watched.done[2:] == ["go on", "tell "]
    assert watched.written == {}


def test_a_person_is_told_that_it_cannot_be_resumed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it stays stopped."""
    watched.failures.on_standing(watched.lock("a"), "anew", "")
    monkeypatch.setattr(freezer, "go_on", fail)
    told = f"guest 'guest' cannot be resumed: {os.strerror(errno.EMFILE)}"
    assert watched.failures.resume("guest") == told
    assert watched.written


@pytest.mark.parametrize(
    ("described", "then"),
    [
        ("", ["stop", "tell it is lost"]),
        ("ignore", []),
        ("poweroff", [f"end {PID} {STARTED}"]),
        (
            "restart",
            [f"end {PID} {STARTED}", f"start {'-'.join('0' * n for n in (8, 4, 4, 4, 12))}"],
        ),
    ],
)
def test_its_own_description_comes_first(watched: Watched, described: str, then: list[str]) -> None:
    """Before what the lockspace says, and that before what the host says."""
    watched.described = described
    for name in "aab":
        watched.failures.on_standing(watched.lock(name), "lost", "it is lost")
    assert watched.done == then
    assert Policy("kill", {SPACE: "pause"}, 0.0).action(f"{SPACE}/") == "pause"
    assert Policy("kill", {SPACE: "pause"}, 0.0).action("/other") == "kill"


@pytest.mark.parametrize(
    ("silent_for", "heard", "is_stopped"),
    [(2.0, 60.0, True), (2.0, 5.0, False), (0.0, 60.0, False)],
)
def test_a_server_that_does_not_answer(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    silent_for: float,
    heard: float,
    is_stopped: bool,
) -> None:
    """What counts is when the server was asked last before an answer; its lease ends after that.
    An error is an answer, but tells nothing of the lease."""
    now = time.monotonic()
    mount = Mount(SPACE, "nfs4", "server:/x", frozenset(["vers=4.2"]))
    asked = now - silent_for if silent_for else 0.0
    one = Remote(mount, heard=now - heard, answered=now, asked=asked)
    watched.remotes.append(one)
    monkeypatch.setattr(failures, "_leases", lambda: {SPACE: 30.0})
    watched.failures._beat()
    watched.failures._beat()
    assert ("stop" in watched.done) == is_stopped
    assert "look at 2" in watched.done


@pytest.mark.parametrize(("seconds", "is_stopped"), [(10.0, False), (30.0, True)])
def test_a_server_that_answers_with_errors(
    watched: Watched, seconds: float, is_stopped: bool
) -> None:
    """It may be as long as it may be silent, and of two the shorter time counts."""
    for lease in (90.0, 30.0):
        mount = Mount(f"/{lease}", "nfs4", "server:/x", frozenset(["vers=4.2"]))
        now = time.monotonic()
        watched.remotes.append(Remote(mount, heard=now, answered=now, asked=0.0))
    watched.failures._leases = {"/90.0": 90.0, "/30.0": 30.0}
    lock = watched.lock("a")
    watched.failures.on_standing(lock, "unknown", "an error")
    assert watched.done == []
    watched.failures._doubts[lock] -= seconds
    watched.failures.on_standing(lock, "unknown", "an error")
    assert ("stop" in watched.done) == is_stopped
    watched.failures.on_standing(lock, "held", "")
    watched.failures.on_standing(lock, "unknown", "an error")
    assert watched.done.count("stop") == is_stopped


@pytest.mark.parametrize(
    ("kind", "options", "seconds"),
    [
        ("nfs", (), None),
        ("nfs4", ("vers=4.2",), 60 * 0.95 - 2.5),
        ("nfs4", ("vers=4.0",), 20 * 0.95 - 2.5),
        ("fuse.glusterfs", (), 42 * 0.95 - 2.5),
        ("fuse.unknown", (), 30 * 0.95 - 2.5),
    ],
)
def test_how_long_a_server_may_be_silent(
    kind: str, options: tuple[str, ...], seconds: float | None
) -> None:
    """A guest stops before the server gives its locks away. Before NFS 4.1 the client renews its
    lease when two thirds have passed."""
    mount = Mount("/mnt", kind, "server:/x", frozenset(options))
    found = deadline(mount, {"/mnt": 60.0})
    assert found == (None if seconds is None else pytest.approx(seconds))
