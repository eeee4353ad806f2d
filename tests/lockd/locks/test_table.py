"""The lock table by itself: each index tells the same of what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockd.kernel.filelock import FileLock
from lockd.locks.space import Lockspace, Owner, Resource
from lockd.locks.table import LockTable
from lockd.wire.fault import Fault

if TYPE_CHECKING:
    from lockd.kernel.named import Identity

SPACE = "/space"


def owner(pid: int, started: int = 0) -> Owner:
    """A guest, whose process has started at a time."""
    guest = Owner(f"guest {pid}", bytes(16), pid, pid)
    guest.started = started
    return guest


def table_with_space() -> tuple[LockTable, Lockspace]:
    """A table with the default lockspace and another."""
    table = LockTable()
    table.spaces[SPACE] = space = Lockspace(SPACE)
    return table, space


def resource(space: Lockspace, name: str, *owners: Owner, inode: int, disk: int = 0) -> Resource:
    """A resource on a file with that inode, of a disk with that one."""
    identity: Identity = (1, inode)
    made = Resource(space, name, FileLock(inode, identity, False), number=inode, create=True)
    made.owners.extend(owners)
    made.disk_identity = (1, disk) if disk else None
    return made


def test_lockspaces() -> None:
    """The default one is there from the start, and its resources are whole paths."""
    table, space = table_with_space()
    assert table.space(SPACE) is space
    assert table.space("").directory == ""
    assert table.space("").path("/disk") == "/disk"
    with pytest.raises(Fault, match="Lockspace for path /other does not exist"):
        table.space("/other")


def test_what_is_held_on_a_file() -> None:
    """By the file that is locked and by the disk that it stands for, also by several at once."""
    table, space = table_with_space()
    first = resource(space, "first", owner(1), inode=10, disk=20)
    second = resource(space, "second", owner(1), owner(2), inode=11, disk=20)
    table.add(first)
    table.add(second)
    assert [*table.resources()] == [first, second]
    assert [*table.of_file((1, 20))] == [first, second]
    assert [*table.of_file((1, 11))] == [second]
    assert [*table.of_file((1, 12))] == []
    assert table.is_known((1, 10))
    table.remove_owner(first, first.owners[0])
    assert [*table.resources()] == [second]
    assert not table.is_known((1, 10))
    assert [*table.of_file((1, 20))] == [second]
    table.remove_owner(second, second.owners[1])
    assert [*table.of_file((1, 20))] == [second]
    table.remove_owner(second, second.owners[0])
    assert [*table.resources()] == [*table.of_file((1, 20))] == []
    assert not table.is_known((1, 20))
    assert table.is_empty


def test_a_file_that_is_its_disk() -> None:
    """In the default lockspace: it is forgotten with its lock, and others on it are not."""
    table, space = table_with_space()
    direct = resource(table.spaces[""], "/disk", owner(1), inode=10, disk=10)
    other = resource(space, "other", owner(2), inode=11, disk=10)
    table.add(direct)
    table.add(other)
    assert {*table.of_file((1, 10))} == {direct, other}
    assert [*table.places()] == ["/disk", SPACE]
    table.remove_owner(direct, direct.owners[0])
    assert [*table.of_file((1, 10))] == [other]
    assert [*table.places()] == [SPACE]
    table.remove_owner(other, other.owners[0])
    alone = resource(table.spaces[""], "/disk", owner(1), inode=10, disk=10)
    table.add(alone)
    table.remove_owner(alone, alone.owners[0])
    assert not table.is_known((1, 10))
    assert table.is_empty


def test_who_is_in_the_way_under_another_name() -> None:
    table, space = table_with_space()
    shared, exclusive = (
        resource(space, "shared", owner(1), inode=10),
        resource(space, "exclusive", owner(2), inode=11),
    )
    shared.shared = True
    table.add(shared)
    table.add(exclusive)
    assert [*table.blocking((1, 10), shared=True)] == []
    assert [*table.blocking((1, 10), shared=False)] == [shared]
    assert [*table.blocking((1, 11), shared=True)] == [exclusive]
    assert [*table.blocking((1, 11), shared=False)] == [exclusive]
    assert [*table.blocking((1, 12), shared=False)] == []


def test_what_an_owner_holds() -> None:
    """Each as often as it was acquired; of two processes that had one pid, those of one of them,
    and those of which no process is known."""
    table, space = table_with_space()
    early, late, unknown = owner(7, 100), owner(7, 200), owner(7)
    one = resource(space, "one", early, inode=10)
    two = resource(space, "two", late, owner(8), inode=11)
    table.add(one)
    table.add(two)
    table.add_owner(one, early)
    table.add_owner(two, unknown)
    assert [*table.held_by(7)] == [(one, early), (one, early), (two, late), (two, unknown)]
    assert [*table.held_by(7, 100)] == [(one, early), (one, early), (two, unknown)]
    assert [*table.held_by(7, 200)] == [(two, late), (two, unknown)]
    assert [*table.held_by(9)] == []
    assert (table.holds(7), table.holds(9), table.pids) == (True, False, [7, 8])
    assert not table.is_empty


def test_what_the_journal_tells_is_found_if_it_is_held() -> None:
    table, space = table_with_space()
    guest = owner(7)
    held = resource(space, "held", guest, inode=10)
    table.add(held)
    known = [(SPACE, "held", guest), (SPACE, "gone", guest), ("/gone", "held", guest)]
    assert [*table.acquisitions(known)] == [(held, guest)]


def test_what_is_open_and_what_cannot_be_unlocked() -> None:
    """Files of released locks are open still, and have no owner."""
    table, space = table_with_space()
    held = resource(space, "held", owner(7), inode=10)
    idle, stuck = resource(space, "idle", inode=11), resource(space, "stuck", inode=12)
    stuck.problem = "it cannot be unlocked"
    table.add(held)
    space.idle.update({"idle": idle, "stuck": stuck})
    assert [*table.open_resources()] == [held, idle, stuck]
    assert [*table.stuck()] == [stuck]
    assert [*map(table.is_open, (held, idle, stuck))] == [True] * 3
    assert not table.is_open(resource(space, "idle", inode=11))
    assert not table.is_open(resource(space, "gone", inode=13))


def test_a_file_that_is_about_to_be_another() -> None:
    table, space = table_with_space()
    first = resource(space, "first", owner(1), inode=10, disk=20)
    second = resource(space, "second", owner(2), inode=11, disk=20)
    table.add(first)
    table.add(second)
    table.drop_identities(first)
    assert not table.is_known((1, 10))
    assert [*table.of_file((1, 20))] == [second]
    first.lock = FileLock(3, (1, 30), False)
    table.add_identities(first)
    assert [*table.of_file((1, 30))] == [first]
    assert [*table.of_file((1, 20))] == [second, first]
