"""What the records of a journal come to, those of other versions of lockd too."""

from __future__ import annotations

import pytest

import lockcfg
from lockd.daemon.settings import DaemonSettings
from lockd.survival.records import JournalState, clients, guests, locks, settings
from lockd.survival.records.encoding import parsed_but, record
from tests.lockd.taken import taken

OWNER = ("guest", "00" * 16, 1, 5004242)
OTHER = ("other", "11" * 16, 2, 5004343)
OWNER_TEXT = '["guest","00000000000000000000000000000000",1,5004242]'
OTHER_TEXT = '["other","11111111111111111111111111111111",2,5004343]'


def replay(*records: str) -> JournalState:
    """The state that some records come to."""
    return JournalState(f"{each}\n".encode("ascii") for each in records)


def lock_fields(number: int, name: str = "disk", owner: str = OWNER_TEXT, more: str = "") -> str:
    """A resource as a record has it."""
    return f'{number},"/space","{name}",[1,2],0,1,1,1700000000,"/disk",[3,4],[{owner}]{more}'


def held(state: JournalState) -> dict[int, tuple[str, bool, list[str]]]:
    """The resources by number: name, whether they are held, the names of their owners."""
    return {
        each.number: (each.name, each.is_held, [owner[0] for owner in each.owners])
        for each in taken(state.of(locks.Records))
    }


def test_a_resource() -> None:
    """It has all that its record tells of."""
    state = replay(locks.space("/space"), locks.lock(lock_fields(5)))
    assert [*state.of(locks.Records).numbers] == [5]
    (found,) = taken(state.of(locks.Records))
    assert [*state.of(locks.Records).spaces] == ["/space"]
    assert (found.number, found.directory, found.name) == (5, "/space", "disk")
    assert (found.identity, found.posix, found.shared, found.create) == ((1, 2), False, True, True)
    assert (found.since, found.disk, found.disk_identity) == (1700000000, "/disk", (3, 4))
    assert found.owners == [OWNER]
    assert found.is_held
    assert [*taken(state.of(locks.Records))] == []


def test_a_name_in_two_lockspaces() -> None:
    """Each resource is in its own, and has its own guest."""
    state = replay(
        locks.lock(lock_fields(5)),
        locks.lock(lock_fields(6, owner=OTHER_TEXT).replace("/space", "/other")),
        locks.lock(lock_fields(7, "another").replace("/space", "/other")),
    )
    told = [(each.directory, each.name, each.owners) for each in taken(state.of(locks.Records))]
    assert told == [
        ("/space", "disk", [OWNER]),
        ("/other", "disk", [OTHER]),
        ("/other", "another", [OWNER]),
    ]


def test_what_becomes_of_a_resource() -> None:
    """More owners, fewer, none, and the same number for another one."""
    records = [
        locks.lock(lock_fields(1)),
        locks.also(1, OTHER_TEXT),
        locks.less(1, OWNER_TEXT),
        locks.unlock(1),
    ]
    assert held(replay(*records[:2])) == {1: ("disk", True, ["guest", "other"])}
    assert held(replay(*records[:3])) == {1: ("disk", True, ["other"])}
    assert held(replay(*records)) == {1: ("disk", False, ["other"])}
    again = locks.lock(lock_fields(1))
    assert held(replay(*records, again)) == {1: ("disk", True, ["guest"])}
    assert held(replay(*records, locks.closed(1))) == {}
    other = locks.lock(lock_fields(1, "other"))
    assert held(replay(*records, locks.closed(1), other)) == {1: ("other", True, ["guest"])}


def test_a_record_that_is_parsed_late() -> None:
    """Until then it is its line, among the others in their order: there are thousands."""
    lines = [
        record("space", "/a"),
        locks.lock(lock_fields(5)),
        locks.unlock(5),
        record("lock", 6, 7),
    ]
    block = "".join(f"{each}\n" for each in lines).encode("ascii")
    assert [*parsed_but([block, block[:0]], "lock")] == [
        ["space", "/a"],
        ["lock", 5, lines[1].encode("ascii")],
        ["unlock", 5],
        ["lock", 6, lines[3].encode("ascii")],
    ]


def test_many_resources() -> None:
    """They come in their order, with what has changed since."""
    count = 1000
    lines = [locks.lock(lock_fields(number, f"disk{number}")) for number in range(count)]
    state = replay(*lines, locks.also(500, OTHER_TEXT), locks.unlock(999))
    told = [*taken(state.of(locks.Records))]
    assert [each.name for each in told] == [f"disk{number}" for number in range(count)]
    assert [each.number for each in told if each.owners != [OWNER]] == [500]
    assert [each.number for each in told if not each.is_held] == [999]


def test_a_number_that_is_used_again_has_nothing_of_the_one_before() -> None:
    """Neither its birth nor its release."""
    state = replay(
        *locks.lock(lock_fields(1), 17).split("\n"), locks.unlock(1), locks.lock(lock_fields(1))
    )
    (found,) = taken(state.of(locks.Records))
    assert (found.is_held, found.disk_born) == (True, 0)


def test_a_number_that_is_used_again_for_a_file_that_is_locked_anew() -> None:
    """It is that of a lock that is held, with the owners that it has, whatever had it before."""
    state = replay(
        locks.lock(lock_fields(1, "before")),
        locks.also(1, OTHER_TEXT),
        locks.less(1, OWNER_TEXT),
        locks.unlock(1),
        locks.closed(1),
        locks.lock(lock_fields(2)),
        locks.relock(2, lock_fields(1)),
        locks.also(1, OTHER_TEXT),
    )
    (found,) = taken(state.of(locks.Records))
    assert (found.kind, found.number, found.name, found.is_held) == ("lock", 1, "disk", True)
    assert found.owners == [OWNER, OTHER]


def test_a_client() -> None:
    """The client's identity, what it has sent, and what lockd has sent to it."""
    records = [
        clients.client(3, "virtlockd", 0, 0, 5004242, 1.5, 17),
        clients.owner(3, OWNER, 99),
        clients.restricted(3),
        clients.received(3, b"\0\1", 7),
        clients.more(3, b"\2", 6),
        clients.unsent(3, b"abcdef"),
        clients.sent(3, 2),
        clients.waiting(3, [b"one", b"two"]),
    ]
    state = replay(*records)
    (found,) = state.of(clients.Records).clients.values()
    assert (found.number, found.service, found.pid, found.id) == (3, "virtlockd", 5004242, 17)
    assert (found.uid, found.gid, found.since) == (0, 0, 1.5)
    assert (found.owner, found.started, found.restricted) == ([*OWNER], 99, True)
    assert (found.rest, found.skip) == (b"\0\1\2", 6)
    assert found.unsent == b"cdef"
    assert found.waiting == [b"one", b"two"]
    assert state.of(clients.Records).next_ids == {"virtlockd": 18}
    state = replay(*records, clients.gone(3), clients.ids("admin", 5))
    assert state.of(clients.Records).clients == {}
    assert state.of(clients.Records).next_ids == {"virtlockd": 18, "admin": 5}
    # Later ones have come and gone when a journal begins so.
    state = replay(clients.ids("virtlockd", 30), *records)
    assert state.of(clients.Records).next_ids == {"virtlockd": 30}


def test_when_a_disk_was_made() -> None:
    """It is known as long as the number is that of the same lock."""
    records = (
        locks.lock(lock_fields(1), 17).split("\n")
        + locks.lock(lock_fields(2), 18).split("\n")
        + [locks.lock(lock_fields(2, "other"))]
        + locks.relock(1, lock_fields(3), 19).split("\n")
        + [locks.lock(lock_fields(1, "new"))]
    )
    state = replay(*records)
    assert {each.number: each.disk_born for each in taken(state.of(locks.Records))} == {
        1: 0,
        2: 0,
        3: 19,
    }


def test_guests_that_are_made_to_end() -> None:
    """And what is left of them."""
    left: tuple[str, str, tuple[object, ...]] = ("/space", "disk", OWNER)
    state = replay(
        guests.dying(1, 2, ()),
        guests.dying(1, 2, [left]),
        guests.dying(3, 4, ()),
        guests.dead(3, 4),
    )
    ((guest, found),) = state.of(guests.Records).dying.items()
    assert guest == (1, 2)
    assert [*map(list, found)] == [["/space", "disk", [*OWNER]]]


def test_settings() -> None:
    """The last of each counts."""
    state = replay(
        settings.in_force({"max_clients": 1}),
        settings.in_force({"max_clients": 2}),
        settings.changed("timeout", 5),
        settings.changed("timeout", 6),
    )
    assert state.of(settings.Records).in_force == {"max_clients": 2}
    assert state.of(settings.Records).changed == {"timeout": 6}


@pytest.mark.parametrize(
    "later",
    [
        record("of a later version"),
        record("of a later version", 1, [2], {"three": 4}),
        locks.lock(lock_fields(1, more=',0,"new",[]')),
        locks.relock(1, lock_fields(1, more=',0,"new",[]')),
        '["client",3,"virtlockd",0,0,5004242,1.5,17,"new"]',
        '["received",3,"00",1,"new"]',
        '["owner",3,["guest","00000000000000000000000000000000",1,5004242],99,"new"]',
        '["dying",1,2,[],"new"]',
        '["changed","timeout",5,"new"]',
        '["settings",{"max_clients":1},"new"]',
    ],
)
def test_what_a_later_version_adds(later: str) -> None:
    """It is passed over: a kind, and fields at the end of one."""
    state = replay(
        locks.lock(lock_fields(1)),
        clients.client(3, "virtlockd", 0, 0, 5004242, 1.5, 17),
        later,
    )
    assert held(state) == {1: ("disk", True, ["guest"])}
    assert [*state.of(clients.Records).clients] == [3]


def test_settings_of_another_version() -> None:
    """What is not known is passed over, what is missing is as where nothing is configured."""
    known = {"max_clients": 7, "log_filters": "1:rpc", "of a later version": [1, 2]}
    found = DaemonSettings.from_record(known)
    assert (found.max_clients, found.log_filters) == (7, "1:rpc")
    assert found.record() == {**DaemonSettings().record(), "max_clients": 7, "log_filters": "1:rpc"}


def test_defaults_of_the_settings() -> None:
    """They are those of libvirt."""
    schema = lockcfg.settings_of(lockcfg.KINDS["virtlockd.conf"])
    for name, value in DaemonSettings().record().items():
        if name in schema:
            assert value == (schema[name].default or "")


def test_a_lock_of_a_process_and_the_birth_of_its_disk() -> None:
    text = lock_fields(5).replace("[1,2],0,1,1,", "[1,2],1,0,0,")
    (found,) = taken(replay(*locks.lock(text, 17).split("\n")).of(locks.Records))
    assert (found.posix, found.shared, found.create, found.disk_born) == (True, False, False, 17)


def test_one_owner_less_of_those_that_a_record_has() -> None:
    """A new journal has all owners of a lock in one record."""
    both = f"{OWNER_TEXT},{OTHER_TEXT}"
    records = (locks.lock(lock_fields(1, owner=both)), locks.less(1, OWNER_TEXT))
    assert held(replay(*records)) == {1: ("disk", True, ["other"])}
