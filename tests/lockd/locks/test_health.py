"""What the checks of locks find, and what they say of it, on a host in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from lockd.kernel import filelock
from lockd.locks.health import Health, Question
from lockd.locks.space import Owner
from lockd.locks.visibility import VISIBLE_AFTER
from lockd.log import Logging
from tests.lockd.locks.simulation import SPACE, two_hosts

if TYPE_CHECKING:
    from typing import Final

    from lockd.kernel.filelock import State
    from lockd.locks.space import Resource


class Checked:
    """A lock, and what its checks have come to: the result, and what is wrong."""

    def __init__(self, *, create: bool = True) -> None:
        self.host, self.other, self.files, self.clock = two_hosts(is_shared=True)
        self.owner = Owner("guest", bytes(16), 1, 7)
        self.path: Final = f"{SPACE}/a"
        self.host.disk.create(self.path)
        self.host.engine.acquire(SPACE, "a", self.owner, shared=False, create=create)
        self.clock.now += VISIBLE_AFTER
        self.host.engine.visibility.show()
        (self.lock,) = self.host.engine.table.resources()
        nothing: Any = None
        self.health = Health(
            self.host.engine, nothing, nothing, 0.0, Logging().part("locking.lock_daemon")
        )
        self.found: Final[list[tuple[str, str]]] = []
        self.health.on_standing = self.on_standing

    def on_standing(self, _: Resource, standing: str, problem: str) -> None:
        self.found.append((standing, problem))

    def answer(self, answer: State, *, seconds: float = 0.0, note: bytes = b"") -> None:
        """The file system has answered a question that it was asked so long ago."""
        question = Question(self.lock)
        assert self.lock.lock.busy
        question.asked, question.answer = time.monotonic() - seconds, answer
        question.note = note
        self.health._on_answer(question)
        assert not self.lock.lock.busy


def test_a_file_that_was_removed_or_replaced() -> None:
    """It is locked again, and another host may have had the new one; unless one has it."""
    checked = Checked()
    checked.health.check(checked.lock)
    checked.host.disk.remove(checked.path)
    checked.health.check(checked.lock)
    checked.host.disk.remove(checked.path)
    checked.other.engine.acquire(SPACE, "a", Owner("b", bytes(16), 2, 8), shared=False, create=True)
    checked.health.check(checked.lock)
    why = "its file was replaced, and another process has locked the new one"
    assert checked.found == [("held", ""), ("anew", ""), ("lost", why)]
    assert checked.lock.problem == why


def test_a_file_that_lockd_has_not_made() -> None:
    """It does not make it either."""
    checked = Checked(create=False)
    checked.host.disk.remove(checked.path)
    checked.health.check(checked.lock)
    ((standing, why),) = checked.found
    assert (standing, why.partition(";")[0]) == ("lost", "its file was removed")
    assert not checked.host.disk.exists(checked.path)


def test_a_directory_that_was_removed() -> None:
    """It is not made again: a file system may have been mounted there."""
    checked = Checked()
    checked.host.disk.remove(checked.path)
    checked.files.directories.discard(SPACE)
    checked.health.check(checked.lock)
    assert checked.found == [("lost", f"its file was removed, and with it {SPACE}")]


def test_a_lock_that_was_lost_with_the_process_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has it by now."""
    checked = Checked()
    monkeypatch.setattr(checked.host.engine.renewal, "renew", lambda _: "taken")
    checked.health.check(checked.lock)
    assert [each for each, _ in checked.found] == ["lost"]


def test_a_disk_that_is_locked_twice() -> None:
    """Under another name: the lock is there, and not safe."""
    checked = Checked()
    engine = checked.host.engine
    engine.acquire(SPACE, "b", Owner("b", bytes(16), 2, 8), shared=False, create=True)
    for each in engine.table.resources():
        each.disk_identity = 1, 2
        engine.table.add_identities(each)
    checked.health.check(checked.lock)
    assert "it is written by two at once" in checked.lock.problem


@pytest.mark.parametrize(
    ("seconds", "answer", "standing"),
    [
        (0.0, "held", "held"),
        (filelock.SURE_FOR + 1, "held", None),
        (filelock.SURE_FOR + 1, "regained", None),
        (0.0, "taken", "lost"),
        (filelock.SURE_FOR + 1, "taken", "lost"),
    ],
)
def test_an_old_answer(seconds: float, answer: State, standing: str | None) -> None:
    """That a lock was held says nothing of now; that it was lost does."""
    checked = Checked()
    note = checked.host.engine._holders.note(checked.lock)
    checked.answer(answer, seconds=seconds, note=note)
    assert [each for each, _ in checked.found] == ([] if standing is None else [standing])


def test_whether_another_host_has_had_it() -> None:
    """The note in the file tells."""
    checked = Checked()
    note = checked.host.engine._holders.note(checked.lock)
    checked.answer("regained", note=note)
    checked.answer("regained", note=b"")
    checked.answer("regained", note=note.replace(b"one", b"two"))
    assert [each for each, _ in checked.found] == ["regained", "anew", "anew"]


def test_a_lock_that_was_taken_anew_meanwhile() -> None:
    """What was asked about is closed."""
    checked = Checked()
    question = Question(checked.lock)
    question.asked, question.answer = time.monotonic(), "taken"
    checked.host.disk.remove(checked.path)
    checked.host.engine.renewal.retake(checked.lock)
    checked.health._act_on(question)
    assert checked.found == []


def test_a_lock_that_is_released_while_its_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question has taken it again; it would never be released."""
    checked = Checked()
    unlocked: list[object] = []

    def look_at(*_: object, **__: object) -> str:
        checked.host.engine.release(SPACE, "a", checked.owner)
        return "held"

    monkeypatch.setattr(filelock, "look_at", look_at)
    monkeypatch.setattr(filelock, "unlock", unlocked.append)
    question = Question(checked.lock)
    question.ask()
    assert unlocked == [question.lock]
    checked.health._act_on(question)
    assert checked.found == []
