"""What has a lock or tells of it beyond the process: kept descriptors, and the note in the file."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, cast

import pytest

from lockd.locks.holders import Holders
from lockd.locks.remote import SilentError
from lockd.locks.space import Owner
from lockd.locks.visibility import VISIBLE_AFTER
from lockd.survival.keeper import Keeper
from lockd.survival.kept import lock_name
from lockd.survival.records import JournalState, locks
from lockd.wire.fault import Fault
from tests.lockd.locks.simulation import SPACE, Host, two_hosts
from tests.lockd.taken import taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockd.kernel.filelock import FileLock
    from lockd.locks.remote import Remote
    from tests.lockd.locks.simulation import FakeClock, Files


class Killed(BaseException):
    """The process ends here."""


def acquire(host: Host, pid: int, name: str = "disk") -> Owner:
    """A guest that has the lock."""
    guest = Owner(f"guest {pid}", bytes(16), pid, pid)
    host.engine.acquire(SPACE, name, guest, shared=False, create=True)
    return guest


def test_a_lock_that_is_released_is_free_at_once() -> None:
    """Though the service manager has its descriptor still."""
    one, two, files, _ = two_hosts(is_shared=True)
    one.engine.release(SPACE, "disk", acquire(one, 7))
    assert one.disk.open_files == 0
    assert f"{SPACE}/disk" in files.inodes
    acquire(two, 8)


def test_a_process_that_is_killed_before_it_unlocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one does what the journal says."""
    one, two, files, clock = two_hosts()
    guest = acquire(one, 7)

    def be_killed(_: FileLock) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(one.disk, "unlock", be_killed)
        with pytest.raises(Killed):
            one.engine.release(SPACE, "disk", guest)
    with pytest.raises(Fault, match="is locked"):
        acquire(two, 8)
    state = JournalState(one.journal.read()).of(locks.Records)
    (number,) = state.numbers
    ((fd, _),) = files.locks[files.inodes[f"{SPACE}/disk"]].items()
    after = Host("one", files, clock)
    after.disk.inherit(one.disk)
    after.engine.restore(state, {}, {lock_name(number): fd})
    acquire(two, 8)


def after(one: Host, files: Files, clock: FakeClock) -> Host:
    """The next process of a host, by the journal and what is kept."""
    state = JournalState(one.journal.read()).of(locks.Records)
    locked = {fd: None for held in files.locks.values() for fd in held}
    (number,) = state.numbers
    (fd,) = locked
    host = Host("one", files, clock)
    host.disk.inherit(one.disk)
    host.engine.restore(state, {}, {lock_name(number): fd})
    return host


def test_the_note_is_known_beyond_the_process() -> None:
    """By it the host knows, if it loses the lock and has it again, that no other has had it; and it
    goes with the lock."""
    one, _, files, clock = two_hosts()
    guest = acquire(one, 7)
    clock.now += VISIBLE_AFTER
    one.engine.visibility.show()
    host = after(one, files, clock)
    (note,) = files.notes.values()
    (resource,) = host.engine.table.resources()
    assert host.engine.visibility.is_noted_by(resource, note)
    assert not host.engine.visibility.is_noted_by(resource, b"")
    host.engine.release(SPACE, "disk", guest)
    assert files.notes == {}


def test_when_a_disk_was_made_is_known_beyond_the_process() -> None:
    """A later file may be known by the same."""
    one, _, files, clock = two_hosts()
    files.directories.add("/images")
    one.disk.create("/images/disk")
    guest = Owner("guest", bytes(16), 7, 7)
    guest.disks = {"disk": "/images/disk"}
    one.engine.acquire(SPACE, "disk", guest, shared=False, create=True)
    (before,) = one.engine.table.resources()
    (resource,) = after(one, files, clock).engine.table.resources()
    assert (resource.disk_identity, resource.disk_born) == (
        before.disk_identity,
        one.disk.born_at("/images/disk"),
    )


def test_the_note_goes_with_the_lock() -> None:
    """Or the next holder would be taken for this one."""
    one, two, files, clock = two_hosts()
    guest = acquire(one, 7)
    clock.now += VISIBLE_AFTER
    one.engine.visibility.show()
    assert b"guest 7" in b"".join(files.notes.values())
    one.engine.release(SPACE, "disk", guest)
    assert files.notes == {}
    acquire(two, 8)
    with pytest.raises(Fault, match="by another process or host"):
        acquire(one, 9)


def test_a_lock_that_is_taken_again_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is another one, and its descriptor is what a crash must not end."""
    one, two, files, _ = two_hosts()
    acquire(one, 7)
    kept: dict[str, int] = {}
    monkeypatch.setattr(Keeper, "keep", lambda _, fd, name: kept.update({name: fd}))
    one.disk.remove(f"{SPACE}/disk")
    one.engine.renewal.retake(one.engine.table.spaces[SPACE].resources["disk"])
    (told,) = taken(JournalState(one.journal.read()).of(locks.Records))
    assert kept == {
        lock_name(told.number): one.engine.table.spaces[SPACE].resources["disk"].lock.fd
    }
    assert [*files.locks[files.inodes[f"{SPACE}/disk"]]] == [*kept.values()]
    with pytest.raises(Fault, match="is locked"):
        acquire(two, 8)


def test_a_note_is_left_after_a_while() -> None:
    """A lock that is released sooner costs no writing."""
    one, _, files, clock = two_hosts()
    acquire(one, 7)
    assert one.engine.visibility.show() == pytest.approx(VISIBLE_AFTER)
    assert files.notes == {}
    clock.now += VISIBLE_AFTER
    one.engine.visibility.show()
    assert files.notes != {}


def test_an_owner_is_the_process_that_the_journal_tells_of() -> None:
    """Another process may have its pid by now."""
    one, _, files, clock = two_hosts()
    acquire(one, os.getpid())
    state = JournalState(one.journal.read()).of(locks.Records)
    (number,) = state.numbers
    (resource,) = one.engine.table.resources()
    host = Host("one", files, clock)
    host.disk.inherit(one.disk)
    host.engine.restore(state, {os.getpid(): 1234}, {lock_name(number): resource.lock.fd})
    assert [each.started for _, each in host.engine.table.held_by(os.getpid())] == [1234]


def test_the_resources_of_one_guest_have_one_owner() -> None:
    """There are thousands of guests, and each has several disks."""
    one, _, files, clock = two_hosts()
    acquire(one, 7)
    acquire(one, 7, "another")
    acquire(one, 8, "others")
    state = JournalState(one.journal.read()).of(locks.Records)
    host = Host("one", files, clock)
    host.disk.inherit(one.disk)
    fds = {lock_name(each.number): each.lock.fd for each in one.engine.table.resources()}
    host.engine.restore(state, {}, fds)
    first, second, third = (each.owners[0] for each in host.engine.table.resources())
    assert first is second
    assert (first.pid, third.pid) == (7, 8)


def test_the_next_process_looks_for_a_disk_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of the guest may tell of it only then."""
    one, _, files, clock = two_hosts()
    acquire(one, 7, "0" * 64)
    state = JournalState(one.journal.read()).of(locks.Records)
    (resource,) = one.engine.table.resources()
    host = Host("one", files, clock)
    host.disk.inherit(one.disk)
    host.engine.restore(state, {}, {lock_name(resource.number): resource.lock.fd})
    monkeypatch.setattr(Holders, "directories_seen", lambda _: ((1, 2),))
    monkeypatch.setattr(Holders, "descriptions_seen", lambda *_: ((3, 4),))
    monkeypatch.setattr(host.engine.files, "disk_behind", lambda *_: ("/a/disk", (1, 99), 0))
    clock.now += 60
    host.engine.unknown.look()
    assert [each.disk for each in host.engine.table.resources()] == ["/a/disk"]


def after_a_release() -> tuple[Host, FakeClock, locks.Records, dict[str, int]]:
    """The next process on a host where a lock was released just before, the clock, and what that
    process has to restore: the journal's records and the descriptors."""
    one, _, files, clock = two_hosts()
    guest = acquire(one, 7)
    (resource,) = one.engine.table.resources()
    one.engine.release(SPACE, "disk", guest)
    state = JournalState(one.journal.read()).of(locks.Records)
    (number,) = state.numbers
    host = Host("one", files, clock)
    host.disk.inherit(one.disk)
    return host, clock, state, {lock_name(number): resource.lock.fd}


def test_a_released_lock_that_the_next_process_cannot_unlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says so, and tries again."""
    host, clock, state, fds = after_a_release()

    def fail(_: FileLock) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(host.disk, "unlock", fail)
        host.engine.restore(state, {}, fds)
        host.engine.idle.close(clock.now)  # not at once
    (stuck,) = host.engine.table.stuck()
    assert (stuck.path, stuck.unlocks) == (f"{SPACE}/disk", 1)
    assert stuck.problem == (f"it was released and cannot be unlocked: {os.strerror(errno.EIO)}")
    host.engine.idle.close(clock.now + 1)
    assert not [*host.engine.table.stuck()]
    assert host.disk.open_files == 0


def test_the_next_process_does_not_wait_for_the_server_of_a_released_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its file is closed when that has answered."""
    host, clock, state, fds = after_a_release()
    waiting: list[Callable[[], object]] = []

    class Silent:
        def wait(self, call: Callable[[], object]) -> None:
            waiting.append(call)

    def check(*_: object) -> None:
        raise SilentError(cast("Remote", Silent()))

    with monkeypatch.context() as patch:
        patch.setattr(host.engine.files, "check_remote", check)
        patch.delattr(type(host.disk), "unlock")
        host.engine.restore(state, {}, fds)
        host.engine.idle.close(clock.now + 1)
    assert host.disk.open_files == 1
    (again,) = waiting
    again()
    assert host.disk.open_files == 0


def test_a_process_that_is_killed_while_it_takes_a_lock_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the journal tells of is locked still."""
    one, _, files, _ = two_hosts()
    acquire(one, 7)
    path = f"{SPACE}/disk"
    before = files.inodes[path]
    one.disk.remove(path)

    def be_killed(_: str) -> None:
        raise Killed

    monkeypatch.setattr(one.journal, "append", be_killed)
    with pytest.raises(Killed):
        one.engine.renewal.retake(one.engine.table.spaces[SPACE].resources["disk"])
    assert files.locks[before]


def test_a_lock_that_was_not_kept_is_told_of_once() -> None:
    """The next process does not miss it again, and its number is free."""
    one, _, files, clock = two_hosts()
    acquire(one, 7)
    state = JournalState(one.journal.read()).of(locks.Records)
    (number,) = state.numbers
    after = Host("one", files, clock)
    after.engine.restore(state, {}, {})
    assert [*after.engine.table.resources()] == []
    text = b"".join(after.journal.read()).decode()
    assert locks.closed(number) in text.splitlines()
    assert after.engine._numbers.take() == number
