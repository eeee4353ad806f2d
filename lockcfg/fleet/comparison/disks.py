"""Judges the real disks that several guests have, on one host or on many: do their users exclude
each other?

A fleet may have a hundred thousand such disks. All users of a disk lock nearly every one of them in
the same way, which a comparison of a few values shows. Only the rest need the model.

Two questions decide about two users: do they have the same disk, and if so, do their locks exclude
each other? Only both answers together make a verdict. If the disks may be two, and their locks
would exclude each other on one disk, the users are safe.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations_with_replacement, groupby, islice, product
from operator import attrgetter

from lockcfg.fleet.comparison.pairs import folded_pairs, sentences
from lockcfg.fleet.comparison.result import DiskRow, DiskUse
from lockcfg.fleet.model.locks import Exclusion, exclusion, exclusion_of, lock_of
from lockcfg.fleet.model.place import is_loopback, is_telling, relation
from lockcfg.fleet.model.uses import (
    ON_OTHERS,
    VOLUME,
    Use,
    claims_of,
    disk_of,
    generations_of,
    is_device,
    links_of,
    part_of,
    ranges_of,
    shown_name,
    whole_of,
)
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg.fleet.comparison.memory import Memory
    from lockcfg.fleet.model.facts import Directory, Facts
    from lockcfg.fleet.model.locks import Disk, Lock, LockAnswer, Locking
    from lockcfg.fleet.model.place import Relation
    from lockcfg.fleet.model.words import Words
    from lockcfg.fleet.store.rows import StoredDisk
    from lockcfg.host.storage import Shared

    #: A host that counts: its name, its facts, and its group if the policy has that group.
    Host = tuple[str, Facts, str]

#: How many users of one disk a row names, and how many pairs of unlike ones are compared.
_NAMED: Final = 20
_COMPARED: Final = 50_000

#: What makes two locks one without the model: the rule, the place of the lock, and its name.
_Quick = tuple[str, str, str]


class _Way:
    """How hosts with certain facts lock disks of one use. ``quick`` is the rule and the place of
    the lock if that lock reaches all hosts; else None. ``leases`` says whether guests of these
    hosts name leases."""

    __slots__ = ("leases", "locking", "quick", "storage", "use")

    def __init__(self, facts: Facts, use: Use) -> None:
        self.use: Final = use
        self.leases: Final = bool(facts.leases)
        self.locking: Final[Locking] = facts.locking_of(use.driver)
        self.storage: Final[Directory | None] = next(
            (each for each in facts.storages if each.path == use.storage), None
        )
        self.quick: Final[tuple[str, str] | None] = self._quick()

    def _quick(self) -> tuple[str, str] | None:
        use = self.use
        if use.shareable or use.rule == "none" or use.backing or use.held not in ("", "held"):
            return None
        if self.locking.manager == "sanlock":
            return None
        inode: int | None = None
        if use.kind == "image":
            # One name may stand for two directories; the inode number tells them apart.
            if self.storage is None or not self.storage.place.system:
                return None
            inode = self.storage.place.inode
            if inode is None or not self.storage.place.proven:
                return None
        if use.rule == "direct":
            # The image is on a file system that carries locks, and the lock is on the disk itself.
            if use.kind != "image" or self.storage is None:
                return None
            place = self.storage.place
            where = f"{place.system} {inode} {' '.join(place.ids)}"
            return ("direct", where) if place.carries == "yes" else None
        setting = {"lvm": "lvm", "scsi": "scsi", "path": "file"}[use.rule] + "_lockspace_dir"
        place = self.locking.spaces[setting]
        if place.carries != "yes" or not place.system or place.inode is None or not place.proven:
            return None
        return use.rule, f"{place.shown} {place.inode} {' '.join(place.ids)} {inode}"


class _User(Frozen):
    """A user of a disk: a guest on a host, and how the host locks the disk for the guest.
    ``number`` is the inode number of the file followed by 32 bits for its name; the number is 0 if
    it shows nothing, and all of it if the file was not seen."""

    __slots__ = (
        "answer",
        "disk",
        "group",
        "guest",
        "host",
        "name",
        "number",
        "path",
        "running",
        "uuid",
        "way",
    )

    def __init__(
        self,
        host: str,
        group: str,
        row: StoredDisk,
        way: _Way,
    ) -> None:
        disk = disk_of(way.use, row.path, row.name, way.storage, row.lvm_uuid, row.scsi_id)
        self.host: Final = host
        self.group: Final = group
        self.guest: Final = row.guest
        self.uuid: Final = row.uuid
        self.name: Final = row.name
        self.path: Final = row.path
        self.number: Final = row.number
        self.way: Final = way
        self.running: Final = way.use.running
        self.disk: Final[Disk] = disk
        self.answer: Final[LockAnswer] = lock_of(way.locking, disk)


def judge_disks(
    rows: Iterable[StoredDisk],
    hosts: Mapping[int, Host],
    ways: Mapping[int, Use],
    aliases: Iterable[tuple[str, str]] = (),
    words: Words | None = None,
    *,
    stale: Collection[str] = (),
    adapt: Callable[[Facts, Use], Use] | None = None,
    memory: Memory | None = None,
) -> Iterator[DiskRow]:
    """The verdict on each disk with several users. ``rows`` has the rows of one name together.
    ``hosts`` are the hosts that count, by their ids. ``aliases`` are pairs of names that may mean
    one disk. ``words`` is what the policy says about the fleet's storage. ``stale`` are hosts whose
    daemon has unknown settings in force, because its files are newer. ``adapt`` is for a plan: it
    says how a host will use a disk when its facts have changed. ``memory`` has the verdicts of an
    earlier audit by the same policy."""
    roots = _roots(aliases)
    known: dict[tuple[int, int], _Way] = {}
    waiting: dict[str, list[tuple[StoredDisk, _Way]]] = {}
    for name, of_disk in groupby(rows, key=attrgetter("name")):
        users: list[tuple[StoredDisk, _Way]] = []
        quick: set[_Quick | None] = set()
        for row in of_disk:
            host = hosts.get(row.host)
            if host is None:
                continue
            # Stores that were joined may have one use under several numbers.
            use = ways[row.way]
            key = (id(host[1]), id(use))
            way = known.get(key)
            if way is None:
                way = known[key] = _Way(host[1], adapt(host[1], use) if adapt else use)
            users.append((row, way))
            quick.add(_quick_of(row, way) if host[0] not in stale else None)
        root = roots.get(name)
        if root is not None:
            waiting.setdefault(root, []).extend(users)
            continue
        if len(users) < 2:
            continue
        if len(quick) == 1 and None not in quick:
            yield from _remembered_safe(name, users, hosts, memory)
        else:
            yield from _remembered(users, hosts, words, stale, memory)
    for users in waiting.values():
        if len(users) > 1:
            yield from _remembered(users, hosts, words, stale, memory)


def _remembered(
    rows: Sequence[tuple[StoredDisk, _Way]],
    hosts: Mapping[int, Host],
    words: Words | None,
    stale: Collection[str],
    memory: Memory | None,
) -> Iterable[DiskRow]:
    """What the model says of a disk, or has said when all was the same."""
    if memory is None:
        return _judged(rows, hosts, words, stale)
    key = []
    of: list[object] = []
    for row, way in rows:
        name, facts, group = hosts[row.host]
        # All but the number of the host, which is another one when it has a new snapshot.
        rest = (*row[3:], name, group, name in stale, id(facts), id(way.use))
        key.append(rest)
        of += (facts, way.use)
    return memory.disks(tuple(key), tuple(of), lambda: _judged(rows, hosts, words, stale))


def _roots(aliases: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each name that may have an alias, the one name that stands for all of them."""
    parents: dict[str, str] = {}

    def top(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    for one, other in aliases:
        first, second = sorted((top(one), top(other)))
        parents[second] = first
    return {name: top(name) for name in list(parents)}


#: The member of a disk that a rule makes the name of its lock of.
_NAMED_BY: Final = {"lvm": "lvm_uuid", "scsi": "scsi_id", "path": "path", "direct": "path"}


def _quick_of(row: StoredDisk, way: _Way) -> _Quick | None:
    if way.quick is None:
        return None
    rule, where = way.quick
    return rule, where, getattr(row, _NAMED_BY[rule])


def _remembered_safe(
    name: str,
    users: list[tuple[StoredDisk, _Way]],
    hosts: Mapping[int, Host],
    memory: Memory | None,
) -> Iterable[DiskRow]:
    """What is safe at a look, or has been when all was the same."""

    def judge() -> list[DiskRow]:
        users.sort(key=lambda user: (hosts[user[0].host][0], user[0].guest, user[0].path))
        return [_safe(name, users, hosts)]

    if memory is None:
        return judge()
    # All that the verdict says, in the order of the rows, which is not always that of the users.
    key = (name, *[(hosts[row.host][0], row.guest, row.path, id(way.use)) for row, way in users])
    return memory.disks(key, tuple([way.use for _, way in users]), judge)


def _safe(
    name: str, users: Sequence[tuple[StoredDisk, _Way]], hosts: Mapping[int, Host]
) -> DiskRow:
    named = [
        DiskUse(hosts[row.host][0], row.guest, row.path, running=way.use.running)
        for row, way in users[:_NAMED]
    ]
    return DiskRow(
        name,
        users[0][1].use.kind,
        "yes",
        sorted({hosts[row.host][0] for row, _ in users}),
        named,
        written=sum(way.use.running for _, way in users) > 1,
    )


def _judged(
    rows: Sequence[tuple[StoredDisk, _Way]],
    hosts: Mapping[int, Host],
    words: Words | None,
    stale: Collection[str],
) -> Iterator[DiskRow]:
    """The verdict of the model, which is its verdict on the worst pair of users."""
    users = sorted(
        (_User(hosts[row.host][0], hosts[row.host][2], row, way) for row, way in rows),
        key=lambda user: (user.host, user.guest, user.path, user.name),
    )
    alike = _alike(users, stale)
    verdict: Shared = "yes"
    worst: tuple[_User, _User, str, str] | None = None
    rank: tuple[object, ...] = ()
    apart: set[str] = set()
    together: set[int] = set()
    written = False
    pairs = _HostPairs(alike)
    for met in islice(_meetings(alike), _COMPARED):
        one, other = met.first
        if one.host == other.host and (one.way.use.kept or other.way.use.kept):
            continue  # LVM keeps what a snapshot has, while its origin is written
        disks = _one_disk(one, other, words)
        if disks == "different":
            continue
        met_users = met.users()
        together.update(map(id, met_users))
        if one.way.use.shareable and other.way.use.shareable:
            continue  # both guests may write it
        both = one.running and other.running
        if both and disks != "unknown" and not (one.way.use.backing or other.way.use.backing):
            written = True
        meant = _exclusion(one, other, disks, words)
        found = _in_force(one, other, meant, stale)
        if found.verdict != "yes":
            apart.update([user.host for user in met_users])
            pairs.add(found.verdict, met)
        # Two guests that run now are worse than two that might; of equals the first ones count.
        badness = _BADNESS[found.verdict] * 2 + both
        new = (-badness, *map(_place_of, met.first))
        if not rank or new < rank:
            cause = _cause(one, other) if found is meant else "held"
            verdict, worst, rank = found.verdict, (one, other, found.why, cause), new
    rest = next(islice(_meetings(alike), _COMPARED, None), None)
    if rest is not None and together:
        # A pair that is not compared is unknown.
        together.update(map(id, users))
        apart.update(user.host for user in users)
        if worst is None or verdict == "yes":
            why = "it has so many users that not all were compared"
            verdict, worst = "unknown", (*rest.first, why, _cause(*rest.first))
    if not together:
        return  # one inode number, but two disks
    seen = [user for user in users if id(user) in together]
    named = [
        DiskUse(user.host, user.guest, user.path, running=user.running) for user in seen[:_NAMED]
    ]
    names = sorted({user.host for user in seen})
    name = min(shown_name(user.name) for user in seen)
    kind = seen[0].way.use.kind
    if worst is None or verdict == "yes":
        yield DiskRow(name, kind, "yes", names, named, written=written)
        return
    one, other, why, cause = worst
    folded = pairs.folded()
    # One pair is the one that the verdict names anyway.
    several = len(folded) > 1 or len({host for line in folded for host in chain(*line[1:])}) > 2
    every = sentences(folded[:_NAMED]) if several else ()
    more = [f"and so on: {len(folded) - _NAMED} more lines"] if len(folded) > _NAMED else []
    reasons = [f"{user.host}: {_reason_of(user)}" for user in (one, other)]
    yield DiskRow(
        name,
        kind,
        verdict,
        names,
        named,
        pair=(one.host, other.host),
        apart=sorted(apart),
        pairs=folded,
        reasons=[*dict.fromkeys(reasons), why, *every, *more],
        cause=cause,
        written=written,
    )


def _reason_of(user: _User) -> str:
    """What the host of a user locks, and why."""
    if user.way.use.backing and user.answer.lock is None:
        above = " or ".join(_ABOVE.get(each, each) for each in user.way.use.through.split(","))
        return f"{user.guest} has it below {above}, and what is below is not locked"
    return "; ".join(user.answer.reasons)


#: What a device or an image is below, in words.
_ABOVE: Final = {
    "": "its disk",
    "bcache": "a device of bcache",
    "device": "another device",
    "dm": "a device of device-mapper",
    "drbd": "a resource of DRBD",
    "filesystem": "a local file system",
    "image": "an image",
    "luks": "a volume of LUKS",
    "lvm": "a volume of LVM",
    "md": "an array of md",
}


class _Alike:
    """Users of a disk that the model does not tell apart: only their hosts and guests differ.
    ``number`` is that of the kind; ``by_host`` are the users by host, in their order."""

    __slots__ = ("by_host", "number", "users")

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.users: Final[list[_User]] = []
        self.by_host: Final[dict[str, list[_User]]] = {}

    def add(self, user: _User) -> None:
        self.users.append(user)
        self.by_host.setdefault(user.host, []).append(user)


def _alike(users: Sequence[_User], stale: Collection[str]) -> list[_Alike]:
    """The users by their kinds. A disk may have thousands of users of a few kinds."""
    guests = Counter(user.uuid for user in users)
    kinds: dict[tuple[object, ...], _Alike] = {}
    for user in users:
        key = (
            id(user.way),
            user.group,
            user.host in stale,
            user.name,
            user.path,
            user.disk.lvm_uuid,
            user.disk.scsi_id,
            user.number,
            # Only whether two users have one UUID counts.
            user.uuid if guests[user.uuid] > 1 else "",
        )
        kinds.setdefault(key, _Alike(len(kinds))).add(user)
    return [*kinds.values()]


class _Meeting:
    """Users of one kind and users of the same or another one, on one host or on two: the verdict on
    the ``first`` two of them is that on all. ``on_one`` are the hosts if each is a host of both."""

    __slots__ = ("first", "mine", "on_one", "yours")

    def __init__(
        self, mine: _Alike, yours: _Alike, first: tuple[_User, _User], on_one: Sequence[str] = ()
    ) -> None:
        self.mine: Final = mine
        self.yours: Final = yours
        self.on_one: Final = on_one
        self.first: Final = first if _place_of(first[0]) <= _place_of(first[1]) else first[::-1]

    def users(self) -> list[_User]:
        """All users of whom two meet."""
        found: list[_User] = []
        for one, other in ((self.mine, self.yours), (self.yours, self.mine)):
            if self.on_one:
                found += [user for host in self.on_one for user in one.by_host[host]]
            elif len(other.by_host) > 1:
                found += one.users
            else:
                found += [user for user in one.users if user.host not in other.by_host]
        return found


def _meetings(alike: Sequence[_Alike]) -> Iterator[_Meeting]:
    """Each two kinds of users of which one writes the disk, on two hosts and on one. A base image
    may be below thousands of guests that only read it."""
    writers = [each for each in alike if not each.users[0].way.use.backing]
    readers = [each for each in alike if each.users[0].way.use.backing]
    below = combinations_with_replacement(readers, 2) if _may_clash(readers) else ()
    clashing = (each for each in below if _clash(each[0].users[0], each[1].users[0]))
    for mine, yours in chain(
        combinations_with_replacement(writers, 2), product(writers, readers), clashing
    ):
        apart = [*_first_apart(mine, yours), *_first_apart(yours, mine)]
        if apart:
            pair = min(apart, key=lambda pair: sorted(map(_place_of, pair)))
            yield _Meeting(mine, yours, pair)
        if mine.users[0].way.use.backing and yours.users[0].way.use.backing:
            kinds = {*mine.users[0].way.use.through.split(",")}
            if not kinds.union(yours.users[0].way.use.through.split(",")) & {"dm"}:
                # The kernel of one host gives a device to one volume or file system, but parts of
                # it to as many devices of device-mapper as there are.
                continue
        both = (
            [host for host, users in mine.by_host.items() if len(users) > 1]
            if mine is yours
            else [host for host in mine.by_host if host in yours.by_host]
        )
        if both:
            host = both[0]
            pair = mine.by_host[host][0], yours.by_host[host][int(mine is yours)]
            yield _Meeting(mine, yours, pair, both)


def _may_clash(readers: Sequence[_Alike]) -> bool:
    """Whether some of what has a device below it may write it in a way of its own."""
    users = [each.users[0] for each in readers]
    found = {(user.way.use.through, claims_of(user.name)) for user in users}
    alone = ("filesystem", "drbd")  # what two hosts never have on one device, even if it is one
    return len(found) > 1 or any(not set(alone).isdisjoint(each.split(",")) for each, _ in found)


def _clash(one: _User, other: _User) -> bool:
    """Whether two hosts that have a device below something write it in two ways, or one reads what
    the other writes, or whether that is unknown."""
    return _in_one_way(one, other) != "yes"


def _in_one_way(one: _User, other: _User) -> Shared:
    """Whether two hosts have a device below one thing: volumes of one group are parts of it, and
    what a container or an array holds is judged by its own name. Two groups or containers on one
    device are not: each is written as if the other were not there."""
    kinds = [frozenset(user.way.use.through.split(",")) for user in (one, other)]
    if "" in kinds[0] | kinds[1]:
        return "yes"  # a store of an earlier lockcfg, which is not called safe
    volumes = [of.intersection(ON_OTHERS) for of in kinds]
    if not any(volumes):
        return "yes" if kinds[0] & kinds[1] - {"filesystem"} else "no"
    claims = [claims_of(user.name) for user in (one, other)]
    if "drbd" in volumes[0] & volumes[1]:
        return "no"  # it copies from device to device: no two hosts give it the same one
    if claims[0] & claims[1]:
        return "yes"
    told = [{each.partition(":")[0] for each in of} for of in claims]
    if "dm" in kinds[0] ^ kinds[1] and "device" in kinds[0] | kinds[1]:
        return "unknown"  # it may be another part of it
    return "no" if volumes[0] & volumes[1] <= told[0] & told[1] else "unknown"


def _first_apart(mine: _Alike, yours: _Alike) -> Iterator[tuple[_User, _User]]:
    """The first user of one kind, and the first one of the other kind on another host, if any."""
    one = mine.users[0]
    other = next((user for user in yours.users if user.host != one.host), None)
    if other is not None:
        yield one, other


class _HostPairs:
    """The pairs of hosts of a disk that have a verdict. Hosts that have users of the same kinds
    are one node each, as there may be thousands of them."""

    def __init__(self, alike: Sequence[_Alike]) -> None:
        kinds: dict[str, list[int]] = {}
        for each in alike:
            for host in each.by_host:
                kinds.setdefault(host, []).append(each.number)
        self._hosts: dict[str, list[str]] = {}
        nodes: dict[tuple[int, ...], str] = {}
        self._with: dict[int, list[str]] = {each.number: [] for each in alike}
        for host, numbers in kinds.items():
            node = nodes.setdefault(tuple(numbers), host)
            if node == host:
                self._hosts[node] = []
                for number in numbers:
                    self._with[number].append(node)
            self._hosts[node].append(host)
        self._found: dict[Shared, set[tuple[str, str]]] = {"no": set(), "unknown": set()}
        self._single: dict[Shared, set[str]] = {"no": set(), "unknown": set()}

    def add(self, verdict: Shared, met: _Meeting) -> None:
        """Note the verdict on users that meet."""
        if met.on_one:
            self._single[verdict].update(met.on_one)
        else:
            self._found[verdict].update(
                product(self._with[met.mine.number], self._with[met.yours.number])
            )

    def folded(self) -> list[tuple[str, Sequence[str], Sequence[str]]]:
        """What was noted, as few lines as can be."""
        return [
            (verdict, *both)
            for verdict, found in self._found.items()
            for both in sorted(
                [
                    *folded_pairs(found, self._hosts),
                    *[([host], [host]) for host in self._single[verdict]],
                ]
            )
        ]


def _place_of(user: _User) -> tuple[str, ...]:
    return user.host, user.guest, user.path, user.name


def _one_disk(one: _User, other: _User, words: Words | None) -> Relation:
    """Whether two users have the same disk: by the names that all hosts have for it, by its places,
    and by the inode numbers of the files."""
    mine, yours = one.disk.place, other.disk.place
    if is_device(one.name) or is_device(other.name):
        if one.host != other.host and one.name.startswith("drbd:"):
            return _one_of_drbd(one.name, other.name)
        return _one_device(one.name, other.name)
    if one.way.use.kind == other.way.use.kind == "network" and one.name == other.name:
        return _one_of_network(one, other)
    if one.name.startswith(VOLUME) and one.name == other.name:
        return "same"  # each of two hosts has mounted the volume with a local file system
    if mine is None or yours is None or "image" not in (one.way.use.kind, other.way.use.kind):
        return "same" if one.name == other.name else "different"
    if one.host == other.host and mine.local and yours.local:
        return "same" if one.name == other.name else "different"
    if one.host == other.host and one.name == other.name and mine.inode == yours.inode:
        return "same"  # one name, by which another host may mean another server
    found = relation(mine, yours, words=words)
    numbered = one.number >> 32 and other.number >> 32
    if mine.name != yours.name and found == "same" and numbered and one.number != other.number:
        return "different"  # a server of CIFS that takes notice of case
    if found in ("same", "different"):
        return found
    if numbered:
        if one.number != other.number:
            return "different" if mine.kind and yours.kind else "unknown"
        likely = found == "likely" or (one.uuid == other.uuid and one.uuid)
        return "likely" if likely and is_telling(one.number >> 32) else "unknown"
    return found


def _one_of_network(one: _User, other: _User) -> Relation:
    """Whether two network disks of one name are the same disk. Servers of two clusters may have the
    same names, and only the host itself knows the server behind a socket."""
    mine, yours = (
        {
            server
            for server in user.way.use.storage.split(",")
            if one.host == other.host or not (server.startswith("unix:") or is_loopback(server))
        }
        for user in (one, other)
    )
    told = one.way.use.storage and other.way.use.storage
    return "unknown" if told and mine.isdisjoint(yours) else "same"


def _one_of_drbd(one: str, other: str) -> Relation:
    """Whether two hosts have one device of DRBD. The names of resources show nothing: those of
    other clusters are called ``r0`` as well. Peers of each other have one device, unless their data
    is not of one origin: clusters may have the same addresses, each on a cable of its own."""
    if _one_device(one, other) == "different":
        return "different"
    mine, yours = links_of(one), links_of(other)
    generations = generations_of(one), generations_of(other)
    unlike = all(generations) and generations[0].isdisjoint(generations[1])
    if any((peer, own) in yours for own, peer in mine):
        return "unknown" if unlike else "same"
    return "different" if unlike and mine and yours else "unknown"


def _one_device(one: str, other: str) -> Relation:
    """Whether two block devices overlap: a whole device contains its partitions."""
    if whole_of(one) != whole_of(other):
        return "different"
    mine, yours = part_of(one), part_of(other)
    if mine and yours and mine != yours:
        return "different"
    ranges = ranges_of(one), ranges_of(other)
    if mine == yours and all(ranges):
        overlap = any(a < d and c < b for a, b in ranges[0] for c, d in ranges[1])
        return "same" if overlap else "different"
    # Where a partition begins is not known.
    return (
        "unknown"
        if (ranges[0] and yours and not mine) or (ranges[1] and mine and not yours)
        else "same"
    )


def _exclusion(one: _User, other: _User, disks: Relation, words: Words | None) -> Exclusion:
    """Whether two users of what may be one disk exclude each other."""
    if one.way.use.kind == "network":
        found = Exclusion("no", "libvirt takes no lock for a network disk")
    elif (one.way.use.backing or other.way.use.backing) and None in (
        one.answer.lock,
        other.answer.lock,
    ):
        found = Exclusion("no", _BELOW)
        if one.way.use.backing and other.way.use.backing:
            found = Exclusion("no", _APART)
            if _in_one_way(one, other) == "unknown":
                found = Exclusion("unknown", _GROUPS)
    else:
        mine, yours = one.disk.place, other.disk.place
        supposed = (
            {frozenset((mine.system, yours.system))}
            if mine and yours and mine.system != yours.system
            else ()
        )
        found = (
            _by_leases(one, other)
            or exclusion_of(one.answer, other.answer)
            or exclusion(
                one.answer.lock,
                other.answer.lock,
                one_daemon=one.host == other.host,
                one_disk=True,
                likely_is_same=disks == "likely" or bool(one.group and one.group == other.group),
                taken_for_one=supposed,
                words=words,
            )
        )
    if disks == "unknown" and found.verdict == "no":
        return Exclusion("unknown", f"it is unknown whether it is one disk; if it is: {found.why}")
    return found


_BELOW: Final = (
    "one of them writes what is below the image of the other: of a chain of images only the top one"
    " is locked"
)


_APART: Final = (
    "both write it, or one writes what the other reads, each through something else above it (a"
    " volume, a volume group, a file system, an image): only what is above is locked"
)

_GROUPS: Final = "it is unknown whether both have it below one volume group"


def _in_force(one: _User, other: _User, meant: Exclusion, stale: Collection[str]) -> Exclusion:
    """The answer if the locks in force may differ from the locks that the files mean. Files say
    only what the next daemon that reads them will do."""
    unknown = ""
    for user in (one, other):
        held = user.way.use.held
        who = f"{user.guest} on {user.host}"
        if meant.verdict != "unknown" and held != "held" and user.host in stale:
            why = f"the next locks of {user.host} are unknown: its files are newer than libvirt"
            return Exclusion("unknown", why)
        if held in ("none", "replaced") and meant.verdict == "yes":
            return Exclusion("no", f"{who} runs, and its lock is not held")
        if held == "elsewhere":
            unknown = f"{who} runs under another lock than the configuration means"
        elif held == "unknown":
            unknown = f"whether the lock of {who}, which runs, is held is not known"
    return Exclusion("unknown", unknown) if unknown and meant.verdict == "yes" else meant


def _by_leases(one: _User, other: _User) -> Exclusion | None:
    """The answer for two hosts that lock no disks, and whose guests have leases. Only the habit of
    their owner says which lease is for which disk."""
    for user in (one, other):
        locking = user.way.locking
        if locking.manager != "lockd" or locking.auto:
            return None
        if not (locking.require or user.way.leases):
            return None
    return Exclusion("unknown", "the guests' leases alone keep them apart, if they are the same")


_BADNESS: Final = {"yes": 0, "unknown": 1, "no": 2}


def _cause(one: _User, other: _User) -> str:
    """Why two users do not exclude each other, in one word; see :class:`DiskRow`."""
    if one.way.use.kind == "network":
        return "network"
    if one.way.use.backing or other.way.use.backing:
        return "chain"
    locks: tuple[Lock | None, Lock | None] = (one.answer.lock, other.answer.lock)
    first, second = locks
    if first is None or second is None:
        return "unlocked"
    if one.path != other.path and "path" in (one.way.use.rule, other.way.use.rule):
        return "paths"
    if one.way.use.rule != other.way.use.rule:
        return "rules"
    return "places"
