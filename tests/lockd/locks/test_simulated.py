"""The engine on hosts in memory, whose clock and disk do what the test says."""

from __future__ import annotations

import random

import pytest

from lockd.locks.idle import IDLE_FOR
from lockd.locks.space import Owner
from lockd.locks.visibility import VISIBLE_AFTER
from lockd.survival.records import JournalState, locks
from lockd.wire.fault import Fault
from tests.lockd.locks.simulation import SPACE, Host, two_hosts
from tests.lockd.taken import taken


def owner(pid: int) -> Owner:
    """A guest."""
    return Owner(f"guest {pid}", bytes(16), pid, pid)


def test_another_host_is_told_who_holds_a_lock() -> None:
    """Once it has been held for long enough for people to look."""
    one, two, _, clock = two_hosts()
    guest = owner(7)
    one.engine.acquire(SPACE, "disk", guest, shared=False, create=True)
    with pytest.raises(Fault, match="by another process or host"):
        two.engine.acquire(SPACE, "disk", owner(8), shared=False, create=True)
    clock.now += VISIBLE_AFTER
    one.engine.visibility.show()
    with pytest.raises(Fault, match=r"by guest 'guest 7' .* on host 'one' since 1970-01-01T00:16"):
        two.engine.acquire(SPACE, "disk", owner(8), shared=False, create=True)


def test_what_is_released_soon_does_not_stay_behind_thousands_that_are_made_visible() -> None:
    """It would take up memory as long as those take, which are many after a start."""
    one, _, _, clock = two_hosts()
    visibility = one.engine.visibility
    guest = owner(7)
    for number in range(100):
        one.engine.acquire(SPACE, f"disk {number}", guest, shared=False, create=True)
    clock.now += VISIBLE_AFTER
    for resource in one.engine.table.resources():
        visibility.renew(resource)
    for _ in range(20):
        one.engine.acquire(SPACE, "other", guest, shared=False, create=True)
        one.engine.release(SPACE, "other", guest)
    clock.now += VISIBLE_AFTER
    visibility.show()
    assert visibility
    assert not visibility._fresh
    assert all(each.owners for each in visibility._due)
    rounds = 1
    while visibility.show() is not None:
        rounds += 1
    assert 15 <= rounds <= 25
    assert all(each.noted for each in one.engine.table.resources())


def test_a_shared_lock_that_is_not_safe_is_shared_with_nobody_more() -> None:
    """Another host may have it by now."""
    one, _, _, _ = two_hosts()
    one.engine.acquire(SPACE, "disk", owner(7), shared=True, create=True)
    resource = one.engine.table.spaces[SPACE].resources["disk"]
    resource.problem = "it was lost"
    why = "is locked by guest 'guest 7' .*, and this lock is not safe: it was lost"
    for acquire in (one.engine.acquire, one.engine.would_acquire):
        with pytest.raises(Fault, match=why):
            acquire(SPACE, "disk", owner(8), shared=True, create=True)
    assert resource.owners == [owner(7)]
    resource.problem = ""
    one.engine.acquire(SPACE, "disk", owner(8), shared=True, create=True)
    assert len(resource.owners) == 2


def test_the_file_of_a_lock_that_is_let_go() -> None:
    """Stays for a while, and then goes."""
    one, two, files, clock = two_hosts()
    guest = owner(7)
    one.engine.acquire(SPACE, "disk", guest, shared=False, create=True)
    one.engine.release(SPACE, "disk", guest)
    assert f"{SPACE}/disk" in files.inodes
    assert one.disk.open_files == 1
    clock.now += IDLE_FOR / 2
    one.engine.idle.close(clock.now - IDLE_FOR)
    assert one.disk.open_files == 1
    two.engine.acquire(SPACE, "disk", guest, shared=False, create=True)
    clock.now += IDLE_FOR
    one.engine.idle.close(clock.now - IDLE_FOR)
    assert one.disk.open_files == 0
    assert f"{SPACE}/disk" in files.inodes
    two.engine.release(SPACE, "disk", guest)
    clock.now += 2 * IDLE_FOR
    two.engine.idle.close(clock.now - IDLE_FOR)
    assert files.inodes == {}


def test_a_description_is_not_looked_for_while_its_lock_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That takes a while on a slow file system, and the loop goes on: no guest is left
    that could have the disk."""
    one, _, _, clock = two_hosts()
    name, guest = "f" * 64, owner(7)
    one.engine.acquire(SPACE, name, guest, shared=False, create=True)
    looked = []

    def takes_a_while(_: object) -> None:
        clock.now += 1
        one.engine.unknown.look()
        looked.append(clock.now)

    monkeypatch.setattr(one.engine.visibility, "hide", takes_a_while)
    one.engine.release(SPACE, name, guest)
    assert looked
    assert not one.engine.unknown


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_calls(seed: int) -> None:
    """No disk is ever held by two that exclude each other, and the journal tells what is held."""
    chance = random.Random(seed)
    one, two, files, clock = two_hosts()
    held: set[tuple[Host, str, Owner, bool]] = set()
    guests = {one: [*map(owner, (1, 2, 3))], two: [*map(owner, (4, 5, 6))]}
    for _ in range(400):
        host = chance.choice([one, two])
        guest, name = chance.choice(guests[host]), chance.choice("abc")
        clock.now += chance.random() * IDLE_FOR
        mine = [each for each in held if each[:3] == (host, name, guest)]
        if mine:
            host.engine.release(SPACE, name, guest)
            held.discard(mine[0])
        else:
            shared = chance.random() < 0.5
            others = [each for each in held if each[1] == name]
            fits = all(shared and each[3] for each in others)
            try:
                host.engine.acquire(SPACE, name, guest, shared=shared, create=True)
            except Fault:
                assert not fits
            else:
                assert fits
                held.add((host, name, guest, shared))
        host.engine.visibility.show()
        host.engine.idle.close(clock.now - IDLE_FOR)
    for host in (one, two):
        told = JournalState(host.journal.read()).of(locks.Records)
        assert sorted(
            (each.name, each.shared, fields[3])
            for each in taken(told)
            if each.is_held
            for fields in each.owners
        ) == sorted((name, shared, guest.pid) for at, name, guest, shared in held if at is host)
    for host in (one, two):
        host.engine.release_everything()
        clock.now += 1
        host.engine.idle.close(clock.now)
    assert files.inodes == {}
    assert one.disk.open_files == two.disk.open_files == 0
