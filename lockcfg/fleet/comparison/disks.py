"""The real disks that several guests have, on one host or on many: does each keep the others out?

Of a hundred thousand such disks nearly all are locked in the same way by all their users, which a
comparison of a few values shows; the model is asked about the rest.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from lockcfg.fleet.comparison.result import DiskRow, DiskUse
from lockcfg.fleet.model.locks import Exclusion, exclusion, lock_of
from lockcfg.fleet.model.uses import Use, disk_of
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg.fleet.model.facts import Directory, Facts
    from lockcfg.fleet.model.locks import Answer, Lock, Locking
    from lockcfg.fleet.store.store import DiskRow as StoredDisk
    from lockcfg.host.storage import Shared

#: The most users that are named of one disk, and that are compared with each other.
_NAMED: Final = 20
_COMPARED: Final = 200

#: What makes two locks one without asking: the rule, where the lock is, how it is named.
_Quick = tuple[str, str, str]


class _Way:
    """How a host with certain facts uses and locks disks of one use. ``quick`` is where and by
    which rule they are locked, where that reaches all hosts; else None."""

    __slots__ = ("locking", "quick", "storage", "use")

    def __init__(self, facts: Facts, use: Use) -> None:
        self.use: Final = use
        self.locking: Final[Locking] = facts.locking
        self.storage: Final[Directory | None] = next(
            (each for each in facts.storages if each.path == use.storage), None
        )
        self.quick: Final[tuple[str, str] | None] = self._quick()

    def _quick(self) -> tuple[str, str] | None:
        use = self.use
        if use.shareable or use.rule == "none":
            return None
        if use.rule == "direct":
            # An image on a file system that carries locks: the lock is on the disk itself.
            if use.kind != "image" or self.storage is None:
                return None
            place = self.storage.place
            return ("direct", place.system) if place.carries == "yes" and place.system else None
        setting = {"lvm": "lvm", "scsi": "scsi", "path": "file"}[use.rule] + "_lockspace_dir"
        place = self.locking.spaces[setting]
        if place.carries != "yes" or not place.system or place.inode is None:
            return None
        return use.rule, f"{place.shown} {place.inode}"


class _User(Frozen):
    """A user of a disk: a guest on a host, and how the host locks it for the guest."""

    __slots__ = ("answer", "guest", "host", "path", "running", "uuid", "way")

    def __init__(
        self, host: str, guest: str, uuid: str, path: str, way: _Way, answer: Answer
    ) -> None:
        self.host: Final = host
        self.guest: Final = guest
        self.uuid: Final = uuid
        self.path: Final = path
        self.way: Final = way
        self.running: Final = way.use.running
        self.answer: Final = answer


def judge_disks(
    rows: Iterable[StoredDisk],
    hosts: Mapping[int, tuple[str, Facts]],
    ways: Mapping[int, Use],
) -> Iterator[DiskRow]:
    """The verdict on each disk with several users. ``rows`` come with those of one name together;
    ``hosts`` are those that count, by their ids, with names and facts."""
    known: dict[tuple[int, int], _Way] = {}
    for name, of_disk in groupby(rows, key=itemgetter(3)):
        users: list[tuple[StoredDisk, _Way]] = []
        quick: set[_Quick | None] = set()
        for row in of_disk:
            host = hosts.get(row[1])
            if host is None:
                continue
            key = (id(host[1]), row[2])
            way = known.get(key)
            if way is None:
                way = known[key] = _Way(host[1], ways[row[2]])
            users.append((row, way))
            quick.add(_quick_of(row, way))
        if len(users) < 2:
            continue
        users.sort(key=lambda user: (hosts[user[0][1]][0], user[0][7], user[0][4]))
        if len(quick) == 1 and None not in quick:
            yield _safe(name, users, hosts)
        else:
            yield _judged(name, [_user(row, way, hosts) for row, way in users])


def _quick_of(row: StoredDisk, way: _Way) -> _Quick | None:
    if way.quick is None:
        return None
    rule, where = way.quick
    names = {"lvm": row[5], "scsi": row[6], "path": row[4], "direct": row[3]}
    return rule, where, names[rule]


def _safe(
    name: str, users: Sequence[tuple[StoredDisk, _Way]], hosts: Mapping[int, tuple[str, Facts]]
) -> DiskRow:
    named = [
        DiskUse(hosts[row[1]][0], row[7], row[4], running=way.use.running)
        for row, way in users[:_NAMED]
    ]
    return DiskRow(
        name,
        users[0][1].use.kind,
        "yes",
        sorted({hosts[row[1]][0] for row, _ in users}),
        named,
        written=sum(way.use.running for _, way in users) > 1,
    )


def _user(row: StoredDisk, way: _Way, hosts: Mapping[int, tuple[str, Facts]]) -> _User:
    _, host, _, name, path, lvm_uuid, scsi_id, guest, uuid = row
    disk = disk_of(way.use, path, name, way.storage, lvm_uuid, scsi_id)
    return _User(hosts[host][0], guest, uuid, path, way, lock_of(way.locking, disk))


def _judged(name: str, users: Sequence[_User]) -> DiskRow:
    """The verdict that the model gives: that on the worst two of the users."""
    verdict: Shared = "yes"
    worst: tuple[_User, _User, str] | None = None
    rank = -1
    compared = users[:_COMPARED]
    for number, one in enumerate(compared):
        for other in compared[number + 1 :]:
            if one.way.use.shareable and other.way.use.shareable:
                continue  # it is meant to be written by both
            found = _by_leases(one, other) or exclusion(
                one.answer.lock, other.answer.lock, one_daemon=one.host == other.host
            )
            # Two that run now are worse than two that could.
            badness = _BADNESS[found.verdict] * 2 + (one.running and other.running)
            if badness > rank:
                verdict, worst, rank = found.verdict, (one, other, found.why), badness
    exclusive = [user for user in users if not user.way.use.shareable]
    named = [
        DiskUse(user.host, user.guest, user.path, running=user.running) for user in users[:_NAMED]
    ]
    hosts = sorted({user.host for user in users})
    written = sum(user.running for user in exclusive) > 1
    kind = users[0].way.use.kind
    if worst is None or verdict == "yes":
        return DiskRow(name, kind, "yes", hosts, named, written=written)
    one, other, why = worst
    reasons = [f"{user.host}: {'; '.join(user.answer.reasons)}" for user in (one, other)]
    return DiskRow(
        name,
        kind,
        verdict,
        hosts,
        named,
        pair=(one.host, other.host),
        reasons=[*dict.fromkeys(reasons), why],
        cause=_cause(one, other),
        written=written,
    )


def _by_leases(one: _User, other: _User) -> Exclusion | None:
    """The answer for two hosts that lock no disks, and start no guest without a lease: which of
    their leases are for which disk, nothing but their owner's habit says."""
    for user in (one, other):
        locking = user.way.locking
        if locking.manager != "lockd" or locking.auto or not locking.require:
            return None
    return Exclusion("unknown", "the guests' leases alone keep them apart, if they are the same")


_BADNESS: Final = {"yes": 0, "unknown": 1, "no": 2}


def _cause(one: _User, other: _User) -> str:
    """What keeps two users from excluding each other, in a word; see :class:`DiskRow`."""
    locks: tuple[Lock | None, Lock | None] = (one.answer.lock, other.answer.lock)
    first, second = locks
    if first is None or second is None:
        return "unlocked"
    if one.path != other.path and "path" in (one.way.use.rule, other.way.use.rule):
        return "paths"
    if one.way.use.rule != other.way.use.rule:
        return "rules"
    return "places"
