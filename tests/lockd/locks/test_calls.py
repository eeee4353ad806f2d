"""What the calls of the engine refuse, undo and write down, on a host in memory."""

from __future__ import annotations

import errno
import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from lockd.events import STUCK
from lockd.kernel.filelock import FileLock, HeldError
from lockd.locks import idle
from lockd.locks.remote import SilentError
from lockd.locks.space import Owner
from lockd.log import INFO
from lockd.survival.records import JournalState, locks, processes
from lockd.survival.records.encoding import parsed
from lockd.wire.fault import FROM_LOCKSPACE, Fault, system_fault
from tests.lockd.locks.simulation import SPACE, FakeClock, Host, two_hosts
from tests.lockd.taken import taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockd.events import Event
    from lockd.locks.remote import Remote

DISK, OTHER = "/images/disk", "/images/other"


def host_with(*files: str) -> tuple[Host, Host, FakeClock]:
    """Two hosts that share a lockspace, and these files."""
    one, two, shared, clock = two_hosts()
    shared.directories.add("/images")
    for path in files:
        one.disk.create(path)
    return one, two, clock


def owner(pid: int, **disks: str) -> Owner:
    """A guest, and its disks by the names of their locks."""
    guest = Owner(f"guest {pid}", bytes(16), pid, pid)
    guest.disks = disks
    return guest


def acquire(host: Host, name: str, guest: Owner, *, shared: bool = False) -> None:
    host.engine.acquire(SPACE, name, guest, shared=shared, create=True)


def held(host: Host) -> dict[str, list[int]]:
    """What a host holds, with the pids of the owners; the journal tells the same."""
    told = JournalState(host.journal.read()).of(locks.Records)
    written = {
        each.name: [fields[3] for fields in each.owners] for each in taken(told) if each.is_held
    }
    known = {
        each.name: [guest.pid for guest in each.owners] for each in host.engine.table.resources()
    }
    assert written == known
    return known


def first(call: Callable[..., Any], what: Callable[[], object]) -> Callable[..., Any]:
    """A function that does something else before it does the same, the first time."""
    left = [what]

    def called(*arguments: object, **options: object) -> object:
        while left:
            left.pop()()
        return call(*arguments, **options)

    return called


def test_who_may_release() -> None:
    """Who has acquired it, and as often."""
    host, _, _ = host_with()
    acquire(host, "disk", owner(7), shared=True)
    acquire(host, "disk", owner(8), shared=True)
    acquire(host, "disk", owner(8), shared=True)
    with pytest.raises(Fault, match="owner 9 does not hold the resource lock"):
        host.engine.release(SPACE, "disk", owner(9))
    with pytest.raises(Fault, match="Lockspace resource 'other' is not locked"):
        host.engine.release(SPACE, "other", owner(7))
    assert held(host) == {"disk": [7, 8, 8]}
    host.engine.release(SPACE, "disk", owner(8))
    host.engine.release(SPACE, "disk", owner(7))
    assert held(host) == {"disk": [8]}
    host.engine.release(SPACE, "disk", owner(8))
    assert held(host) == {}
    with pytest.raises(Fault, match="is not locked"):
        host.engine.release(SPACE, "disk", owner(8))


@pytest.mark.parametrize("what", ["keeper", "journal", "clock"])
def test_an_acquisition_that_fails_is_undone(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever of its steps after the lock."""
    host, other, clock = host_with()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as patch:
        if what == "keeper":
            patch.setattr(host.engine._keeper, "keep", fail)
        elif what == "journal":
            append = host.journal.append
            patch.setattr(
                host.journal, "append", lambda text: fail() if "lock" in text else append(text)
            )
        else:
            patch.setattr(clock, "time", fail)
        with pytest.raises(OSError, match="memory"):
            acquire(host, "disk", owner(7))
    assert held(host) == {}
    acquire(other, "disk", owner(8))
    other.engine.release(SPACE, "disk", owner(8))
    acquire(host, "disk", owner(7))
    assert held(host) == {"disk": [7]}


def test_a_disk_that_is_locked_under_another_name_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To lock a file may take a while, and others are served."""
    host, _, _ = host_with(DISK)
    guest, faster = owner(7, a=DISK), owner(8, b=DISK)
    take = first(host.disk.take, lambda: acquire(host, "b", faster))
    monkeypatch.setattr(host.disk, "take", take)
    with pytest.raises(Fault, match=r"is locked by guest 'guest 8'.* under its other name"):
        acquire(host, "a", guest)
    assert held(host) == {"b": [8]}
    assert host.disk.open_files == 1


def test_a_name_that_is_locked_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """To find out which disk it is for may take a while too."""
    host, _, _ = host_with(DISK)
    look = first(host.disk.identity_at, lambda: acquire(host, "a", owner(8)))
    monkeypatch.setattr(host.disk, "identity_at", look)
    with pytest.raises(Fault, match="is locked by guest 'guest 8'"):
        acquire(host, "a", owner(7, a=DISK))
    assert held(host) == {"a": [8]}
    assert host.disk.open_files == 1


def test_a_shared_lock_that_another_guest_has_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have the same one."""
    host, _, _ = host_with(DISK)
    look = first(host.disk.identity_at, lambda: acquire(host, "a", owner(8), shared=True))
    monkeypatch.setattr(host.disk, "identity_at", look)
    acquire(host, "a", owner(7, a=DISK), shared=True)
    assert held(host) == {"a": [8, 7]}
    assert host.disk.open_files == 1


def test_shared_locks_of_one_disk_under_two_names() -> None:
    host, _, _ = host_with(DISK)
    acquire(host, "a", owner(7, a=DISK), shared=True)
    acquire(host, "b", owner(8, b=DISK), shared=True)
    with pytest.raises(Fault, match="under its other name"):
        acquire(host, "c", owner(9, c=DISK))
    assert held(host) == {"a": [7], "b": [8]}


def test_a_new_journal_tells_the_same() -> None:
    """What is held by whom, which process that was, and which files are only open still."""
    host, _, _ = host_with()
    guest = owner(7)
    guest.started = 1234
    acquire(host, "held", guest)
    acquire(host, "idle", owner(8))
    host.engine.release(SPACE, "idle", owner(8))
    for _ in range(2):
        state = JournalState(host.journal.read())
        told = {each.name: each.is_held for each in taken(state.of(locks.Records))}
        assert told == {"held": True, "idle": False}
        assert state.of(processes.Records).started == {7: 1234}
        assert [*state.of(locks.Records).spaces] == [SPACE]
        host.journal.begin_next(host.engine.records(), host.engine.parts())
        host.journal.go_on(lambda: None)
        assert not host.journal.has_next


def test_a_file_that_is_made_or_removed_is_nobodys_lock() -> None:
    """Neither of a name that is held; one that is open still is closed first."""
    host, _, _ = host_with()
    engine = host.engine
    acquire(host, "disk", owner(7))
    for call in (engine.create_resource, engine.delete_resource):
        with pytest.raises(Fault, match="is locked"):
            call(SPACE, "disk")
    engine.release(SPACE, "disk", owner(7))
    assert host.disk.open_files == 1
    engine.delete_resource(SPACE, "disk")
    assert (host.disk.open_files, host.disk.exists(f"{SPACE}/disk")) == (0, False)
    engine.delete_resource(SPACE, "disk")
    engine.create_resource(SPACE, "disk")
    assert host.disk.exists(f"{SPACE}/disk")
    for call in (engine.create_resource, engine.delete_resource):
        with pytest.raises(Fault, match="must be the name of a file"):
            call(SPACE, "../disk")


def test_a_lock_that_cannot_be_unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No guest has it, another host does not get it, and lockd tries again some times."""
    host, other, clock = host_with()
    unlock = host.disk.unlock

    def fail(_: FileLock) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(host.disk, "unlock", fail)
    acquire(host, "disk", owner(7))
    host.engine.release(SPACE, "disk", owner(7))
    assert held(host) == {}
    (stuck,) = host.engine.table.stuck()
    assert stuck.problem == "it was released and cannot be unlocked: Input/output error"
    with pytest.raises(Fault, match="is locked"):
        acquire(other, "disk", owner(8))
    # A guest of this host gets it, as it is locked still.
    host.engine.would_acquire(SPACE, "disk", owner(9), shared=False, create=True)
    acquire(host, "disk", owner(9))
    assert held(host) == {"disk": [9]}
    assert not [*host.engine.table.stuck()]
    (taken,) = host.engine.table.resources()
    assert taken.problem == ""
    host.engine.release(SPACE, "disk", owner(9))
    for _ in range(30):
        clock.now += 1
        host.engine.idle.close(clock.now)
    assert host.disk.open_files == 0
    acquire(other, "disk", owner(8))
    monkeypatch.setattr(host.disk, "unlock", unlock)


def test_whether_a_lock_could_be_had() -> None:
    """Nothing is changed by the question, and no file is made."""
    host, other, _ = host_with(f"{SPACE}/there")
    for name in ("there", "not-there"):
        host.engine.would_acquire(SPACE, name, owner(7), shared=False, create=True)
    assert host.disk.open_files == 0
    assert not host.disk.exists(f"{SPACE}/not-there")
    acquire(other, "there", owner(8))
    with pytest.raises(Fault, match="is locked"):
        host.engine.would_acquire(SPACE, "there", owner(7), shared=False, create=True)
    acquire(host, "mine", owner(7), shared=True)
    host.engine.would_acquire(SPACE, "mine", owner(9), shared=True, create=True)
    with pytest.raises(Fault, match="is locked by guest 'guest 7'"):
        host.engine.would_acquire(SPACE, "mine", owner(9), shared=False, create=True)
    assert held(host) == {"mine": [7]}


def test_whether_a_guest_has_a_lock_already() -> None:
    host, _, _ = host_with()
    engine = host.engine
    acquire(host, "disk", owner(7), shared=True)
    assert engine.is_held_by(SPACE, "disk", owner(7), shared=True)
    assert not engine.is_held_by(SPACE, "disk", owner(8), shared=True)
    assert not engine.is_held_by(SPACE, "other", owner(7), shared=True)
    assert not engine.is_held_by("/nowhere", "disk", owner(7), shared=True)
    with pytest.raises(Fault, match="for it shared, and not as it is meant"):
        engine.is_held_by(SPACE, "disk", owner(7), shared=False)


class Asked:
    """Servers that are asked: what they are asked for, and what the disk is used for, in order.
    Once they are ``silent`` they do not answer."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_silent = False

    def check_path(self, path: str) -> None:
        """A path."""
        self.told.append(path)
        if self.is_silent:
            raise SilentError(cast("Remote", None))

    check = check_path

    def check_file(self, directory: str, name: str) -> None:
        """A file."""
        self.check_path(f"{directory}/{name}")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Asked]:
    """A host whose file systems have servers."""
    host, _, _ = host_with(DISK, OTHER)
    servers = Asked()
    for part in (host.engine, host.engine.files):
        monkeypatch.setattr(part, "_remotes", servers)
    for name in ("identity_at", "take"):
        what = getattr(host.disk, name)
        monkeypatch.setattr(host.disk, name, partial(_noted, servers.told, what, name))
    return host, servers


def _noted(told: list[str], call: Callable[..., Any], name: str, *args: Any, **more: Any) -> Any:
    told.append(f"{name} {args[0]}")
    return call(*args, **more)


def test_each_server_is_asked_just_before_its_file_system_is_used(
    asked: tuple[Host, Asked],
) -> None:
    """The disk may be on another one than its lock."""
    host, servers = asked
    acquire(host, "a", owner(7, a=DISK))
    path = f"{SPACE}/a"
    assert servers.told == [path, DISK, f"identity_at {DISK}", path, f"take {path}"]
    servers.told.clear()
    host.engine.acquire("", OTHER, owner(8), shared=False, create=False)
    assert servers.told == [OTHER, OTHER, f"take {OTHER}"]


def test_a_share_of_a_lock_whose_server_is_silent(asked: tuple[Host, Asked]) -> None:
    """Another host may have it by now: no other guest gets a share before that is known."""
    host, servers = asked
    acquire(host, "a", owner(7), shared=True)
    servers.is_silent = True
    for call in (host.engine.acquire, host.engine.would_acquire):
        with pytest.raises(SilentError):
            call(SPACE, "a", owner(8), shared=True, create=True)
    assert held(host) == {"a": [7]}


def test_the_process_of_an_owner_is_written_down_before_its_lock() -> None:
    """Else the next daemon would take another process with its pid for it."""
    host, _, _ = host_with()
    for pid in (7, 8):
        guest = owner(pid)
        guest.started = 1234
        acquire(host, "a", guest, shared=True)
    kinds = [each[0] for each in parsed(host.journal.read())]
    assert kinds == ["space", "process", "lock", "process", "also"]


def test_what_a_dead_guest_has_released_itself_is_not_released_again() -> None:
    """While it waited for a server, another lock of that name may have come."""
    host, _, _ = host_with()
    acquire(host, "a", owner(7))
    acquire(host, "b", owner(7))
    left = host.engine.table.held_by(7)
    host.engine.release(SPACE, "a", owner(7))
    acquire(host, "a", owner(8))
    host.engine.release_all(left)
    assert held(host) == {"a": [8]}


def test_the_file_of_another_is_not_removed() -> None:
    """A person has renamed the file of a lock: a new one of its name may be locked."""
    host, other, files, _ = two_hosts()
    acquire(host, "a", owner(7))
    files.inodes[f"{SPACE}/old"] = files.inodes.pop(f"{SPACE}/a")
    acquire(other, "a", owner(8))
    host.engine.release(SPACE, "a", owner(7))
    host.engine.idle.close(math.inf)
    assert host.disk.exists(f"{SPACE}/a")
    assert host.disk.open_files == 0


def link(host: Host, path: str, to: str) -> None:
    """Have another name of a file."""
    host.disk._files.inodes[path] = host.disk._files.inodes[to]


@pytest.mark.parametrize(("born", "is_same"), [(0, True), (1, False), (None, True)])
def test_a_file_that_is_known_by_the_same(
    monkeypatch: pytest.MonkeyPatch, born: int | None, is_same: bool
) -> None:
    """It is another disk only if it is known that it was made at another time."""
    host, _, _ = host_with(DISK)
    acquire(host, "a", owner(7, a=DISK))
    link(host, OTHER, DISK)
    if born is not None:
        monkeypatch.setattr(host.disk, "born_at", lambda _: born)
    guest = owner(8, b=OTHER)
    if is_same:
        with pytest.raises(Fault, match="under its other name"):
            acquire(host, "b", guest)
    else:
        acquire(host, "b", guest)
    assert held(host).keys() == ({"a"} if is_same else {"a", "b"})


def test_a_disk_that_turns_out_to_be_locked_twice() -> None:
    """As long as it is not known that the other one was made at another time."""
    host, _, _ = host_with(DISK)
    acquire(host, "a", owner(7, a=DISK))
    acquire(host, "b", owner(8))
    one, other = host.engine.table.resources()
    other.disk_identity = one.disk_identity
    host.engine.table.add_identities(other)
    files = host.engine.files
    assert "by guest 'guest 8'" in files.doubled(one)
    other.disk_born = one.disk_born
    assert "by guest 'guest 8'" in files.doubled(one)
    other.disk_born = one.disk_born + 1
    assert files.doubled(one) == ""


@pytest.mark.parametrize("is_shared", [False, True])
def test_the_pid_of_another_holder(monkeypatch: pytest.MonkeyPatch, is_shared: bool) -> None:
    """Where hosts share a file system it may be one of another host."""
    host, _, _, _ = two_hosts(is_shared=is_shared)

    def refuse(*_: object, **__: object) -> None:
        raise HeldError((1, 2), b"", os.getpid())

    monkeypatch.setattr(host.disk, "take", refuse)
    who = "by another process or host" if is_shared else rf"\(pid {os.getpid()}\) on this host"
    with pytest.raises(Fault, match=who):
        acquire(host, "a", owner(7))


def test_two_nodes_of_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """They lock apart from each other, so the second lock is undone."""
    host, _, _ = host_with(DISK, OTHER)
    host.engine.acquire("", DISK, owner(7), shared=False, create=False)
    (first_one,) = host.engine.table.resources()
    monkeypatch.setattr(host.disk, "born_at", lambda _: 0)
    take = host.disk.take

    def same(*arguments: Any, **options: Any) -> FileLock:
        return FileLock(take(*arguments, **options).fd, first_one.lock.identity, False)

    monkeypatch.setattr(host.disk, "take", same)
    with pytest.raises(Fault, match=f"under its other name '{DISK}'"):
        host.engine.acquire("", OTHER, owner(8), shared=False, create=False)
    assert host.disk.open_files == 1


def test_another_name_of_a_file_with_a_lock_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not even opened: to close it would drop the lock."""
    host, _, _ = host_with(DISK)
    acquire(host, "a", owner(7))
    (resource,) = host.engine.table.resources()
    resource.lock = FileLock(resource.lock.fd, resource.lock.identity, True)
    host.engine.files.has_posix = True
    link(host, OTHER, f"{SPACE}/a")
    monkeypatch.delattr(type(host.disk), "take")
    with pytest.raises(Fault, match="under its other name"):
        host.engine.acquire("", OTHER, owner(8), shared=False, create=False)


def test_a_file_of_several_hosts_that_could_not_be_unlocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is opened again: the server may have unlocked it, and another host have removed it."""
    host, _, _, _ = two_hosts(is_shared=True)
    acquire(host, "a", owner(7))

    def fail(_: FileLock) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(host.disk, "unlock", fail)
        host.engine.release(SPACE, "a", owner(7))
    assert [*host.engine.table.stuck()]
    monkeypatch.delattr(type(host.disk), "lock_again")
    acquire(host, "a", owner(8))
    assert (held(host), host.disk.open_files) == ({"a": [8]}, 1)


def test_an_idle_file_whose_server_answers_when_it_is_closed_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file of a later lock of that name is left alone."""
    host, _, clock = host_with()
    later: list[Callable[[], object]] = []

    class Silent:
        def wait(self, call: Callable[[], object]) -> None:
            later.append(call)

    def check(_: object) -> None:
        raise SilentError(cast("Remote", Silent()))

    acquire(host, "a", owner(7))
    host.engine.release(SPACE, "a", owner(7))
    with monkeypatch.context() as patch:
        patch.setattr(host.engine.files, "check_remote", check)
        host.engine.idle.close(clock.now + 1)
    host.engine.delete_resource(SPACE, "a")
    acquire(host, "a", owner(8))
    host.engine.release(SPACE, "a", owner(8))
    later.pop()()
    assert host.disk.open_files == 1
    acquire(host, "a", owner(9))
    assert held(host) == {"a": [9]}


def test_a_release_whose_server_is_silent_changes_nothing(asked: tuple[Host, Asked]) -> None:
    """To unlock would wait, and the loop with it."""
    host, servers = asked
    acquire(host, "a", owner(7))
    servers.is_silent = True
    with pytest.raises(SilentError):
        host.engine.release(SPACE, "a", owner(7))
    assert held(host) == {"a": [7]}


def test_a_lock_may_be_lost_where_nothing_is_known_of_its_server(
    asked: tuple[Host, Asked],
) -> None:
    """But one of the process is this host's own."""
    host, servers = asked
    acquire(host, "a", owner(7))
    (resource,) = host.engine.table.resources()
    resource.lock.remote = None
    servers.is_silent = True
    assert host.engine.files.may_be_lost(resource)
    resource.lock = FileLock(resource.lock.fd, resource.lock.identity, True)
    assert not host.engine.files.may_be_lost(resource)


def test_a_disk_that_is_unknown_is_not_looked_for_once_its_lock_is_released() -> None:
    """Nor does anything of it stay."""
    host, _, _ = host_with()
    name = "0" * 64
    acquire(host, name, owner(7))
    assert host.engine.unknown
    host.engine.release(SPACE, name, owner(7))
    assert not host.engine.unknown


@pytest.mark.parametrize(
    ("error", "why"),
    [(OSError(errno.EIO, os.strerror(errno.EIO)), os.strerror(errno.EIO)), (OSError("odd"), "odd")],
)
def test_how_often_it_is_tried_to_unlock_a_lock(
    error: OSError, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once; after twenty times more the file is closed, which ends the lock."""
    host, _, clock = host_with()
    told: list[Event] = []
    host.logging.listen(told.append, INFO)

    def fail(_: FileLock) -> None:
        raise error

    acquire(host, "a", owner(7))
    told.clear()
    monkeypatch.setattr(host.disk, "unlock", fail)
    host.engine.release(SPACE, "a", owner(7))
    for _ in range(19):
        clock.now += 1
        host.engine.idle.close(clock.now)
    assert host.disk.open_files == 1
    clock.now += 1
    host.engine.idle.close(clock.now)
    assert host.disk.open_files == 0
    (stuck,) = [each for each in told if each.kind is STUCK]
    assert stuck.message == (
        f"{SPACE}/a: it was released and cannot be unlocked ({why}): no guest can lock it until"
        " that succeeds; lockd tries again"
    )
    assert stuck.fields["resource"] == "a"


def test_a_lock_file_that_cannot_be_removed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is told, and the lock is released."""
    host, other, clock = host_with()

    def fail(_: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(host.disk, "remove", fail)
    acquire(host, "a", owner(7))
    host.engine.release(SPACE, "a", owner(7))
    clock.now += 1
    host.engine.idle.close(clock.now)
    assert f"{SPACE}/a: cannot be removed: Read-only file system" in capfd.readouterr().err
    acquire(other, "a", owner(8))


def test_how_many_files_of_released_locks_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next ones are closed at once."""
    monkeypatch.setattr(idle, "_MOST_IDLE", 2)
    host, _, _ = host_with()
    for name in "abc":
        acquire(host, name, owner(7))
        host.engine.release(SPACE, name, owner(7))
    assert host.disk.open_files == 2
    assert not host.disk.exists(f"{SPACE}/c")


def test_a_released_lock_that_fails_to_be_locked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told why."""
    host, _, _ = host_with()
    acquire(host, "a", owner(7))
    host.engine.release(SPACE, "a", owner(7))

    def fail(*_: object, **__: object) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(host.disk, "lock_again", fail)
    with pytest.raises(Fault) as caught:
        acquire(host, "a", owner(8))
    expected = system_fault(
        FROM_LOCKSPACE,
        f"Unable to acquire lock on '{SPACE}/a'",
        OSError(errno.EIO, os.strerror(errno.EIO)),
    )
    assert vars(caught.value) == vars(expected)
    assert held(host) == {}


def test_which_files_of_released_locks_are_closed_and_how_many() -> None:
    """Those that were released before a time, so many of them; whether there are more is told."""
    host, _, clock = host_with()
    for name in "abc":
        acquire(host, name, owner(7))
        host.engine.release(SPACE, name, owner(7))
    assert host.disk.open_files == 3
    assert not host.engine.idle.close(clock.now)
    assert host.disk.open_files == 3
    clock.now += 1
    assert host.engine.idle.close(clock.now, 2)
    assert host.disk.open_files == 1
    assert not host.engine.idle.close(clock.now, 1)
    assert host.disk.open_files == 0


def test_a_file_waits_for_its_server_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is due meanwhile; and again once it could not be closed."""
    host, _, clock = host_with()
    waiting: list[Callable[[], object]] = []

    class Silent:
        def wait(self, call: Callable[[], object]) -> None:
            waiting.append(call)

    def check(_: object) -> None:
        raise SilentError(cast("Remote", Silent()))

    acquire(host, "a", owner(7))
    host.engine.release(SPACE, "a", owner(7))
    clock.now += 1
    with monkeypatch.context() as patch:
        patch.setattr(host.engine.files, "check_remote", check)
        for _ in range(3):
            host.engine.idle.close(clock.now)
        assert len(waiting) == 1
        waiting.pop()()
        assert len(waiting) == 1

    def fail(_: FileLock) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(host.disk, "unlock", fail)
        waiting.pop()()
    assert host.disk.open_files == 1
    clock.now += 1
    host.engine.idle.close(clock.now)
    assert host.disk.open_files == 0


def test_the_file_of_a_lock_of_the_process_is_removed_at_once() -> None:
    """It stays open for no one: another descriptor of the file that is closed would end a later
    lock."""
    host, _, _ = host_with()
    acquire(host, "a", owner(7))
    (resource,) = host.engine.table.resources()
    resource.lock = FileLock(resource.lock.fd, resource.lock.identity, True)
    host.engine.release(SPACE, "a", owner(7))
    assert host.disk.open_files == 0
    assert not host.disk.exists(f"{SPACE}/a")


def test_a_file_that_is_removed_while_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question makes none in its place."""
    host, _, _ = host_with()
    monkeypatch.setattr(host.disk, "exists_at_all", lambda _: True)
    with pytest.raises(Fault, match="Unable to open resource"):
        host.engine.would_acquire(SPACE, "a", owner(7), shared=False, create=True)
    assert not host.disk.exists(f"{SPACE}/a")


def test_the_lock_file_of_one_guest_is_the_disk_of_another() -> None:
    """When the disk of the first was made says nothing about that file."""
    host, _, _ = host_with(DISK)
    acquire(host, "a", owner(7, a=DISK))
    acquire(host, "b", owner(8))
    one, other = host.engine.table.resources()
    assert one.disk_born
    other.disk, other.disk_identity, other.disk_born = one.path, one.lock.identity, 1
    assert host.engine.files.doubled(other).startswith("its disk is locked by guest 'guest 7'")
