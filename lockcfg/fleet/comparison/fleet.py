"""A fleet as the rules of the audit see it, read from a store."""

from __future__ import annotations

import json
from operator import itemgetter

from lockcfg.fleet.comparison.groups import Cell, Group
from lockcfg.fleet.comparison.memory import Memory
from lockcfg.fleet.comparison.result import UnreadSource
from lockcfg.fleet.model.evidence import Probe, probe_of, with_sights
from lockcfg.fleet.model.sharing import Sharing
from lockcfg.fleet.policy.policy import MAX_AGE_HOURS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from typing import Final

    from lockcfg.fleet.comparison.result import DiskRow
    from lockcfg.fleet.model.facts import Directory, Facts
    from lockcfg.fleet.model.uses import Use
    from lockcfg.fleet.policy.policy import Policy, PolicyWaiver
    from lockcfg.fleet.store.rows import StoredHost
    from lockcfg.fleet.store.store import Store

    #: A distinct combination: its number, its facts, its circumstances, and its uses of disks.
    _Combination = tuple[int, Facts, list[list[str]], list[Use]]

    #: Several snapshots with one host name: the name, the sources, and whether they come from two
    #: machines.
    _Twice = tuple[str, tuple[str, ...], bool]

#: How many seconds a clock may be ahead of the audit's clock before it counts as wrong.
_AHEAD: Final = 300


class Fleet:
    """A fleet as it was read. ``now`` is the time of the audit, in seconds since the epoch.

    ``ambiguous`` are the names of directories behind which hosts see different inode numbers.
    ``old``, ``ahead``, ``missing`` and ``twice`` are host names, ``twice`` with the sources and
    whether they come from two machines. ``same`` are pairs of host names that one running kernel
    has. ``sharing`` maps each inferred group to the groups of the policy that share storage with
    it. ``probe`` is what a probe showed, ``names`` are the names of its hosts, by their ids, and
    ``expected`` are the facts of these hosts without the probe.
    """

    __slots__ = (
        "ahead",
        "ambiguous",
        "cells",
        "disks",
        "expected",
        "expired",
        "groups",
        "guests_twice",
        "max_age",
        "missing",
        "names",
        "not_compared",
        "now",
        "old",
        "places",
        "policy",
        "probe",
        "probed_long_ago",
        "problems",
        "same",
        "sharing",
        "sources",
        "twice",
        "unneeded",
    )

    def __init__(self, now: int, policy: Policy | None, max_age: int | None) -> None:
        self.now: Final = now
        self.policy: Final = policy
        default = policy.max_age if policy else MAX_AGE_HOURS * 3600
        self.max_age: Final = default if max_age is None else max_age
        self.cells: list[Cell] = []
        self.groups: list[Group] = []
        self.disks: list[DiskRow] = []
        self.problems: list[UnreadSource] = []
        self.ambiguous: frozenset[tuple[str, str]] = frozenset()
        #: Each host that may have a disk in common with another, by its id in the store: its name,
        #: its facts, and its group if the policy has that group.
        self.places: dict[int, tuple[str, Facts, str]] = {}
        self.probe = Probe({})
        self.names: dict[int, str] = {}
        self.expected: dict[int, Facts] = {}
        #: The hosts whose part in a probe is too old to count, or from the future.
        self.probed_long_ago: list[str] = []
        #: The directory of the files of each host of which only the files are known.
        self.sources: dict[str, str] = {}
        #: Directories that have so many names that not all of these were compared.
        self.not_compared: list[str] = []
        self.old: list[str] = []
        self.ahead: list[str] = []
        self.missing: list[str] = []
        self.same: list[tuple[str, str]] = []
        self.sharing: dict[str, set[str]] = {}
        self.twice: list[_Twice] = []
        #: The guests that run on several hosts, by their UUIDs: the name and the hosts.
        self.guests_twice: list[tuple[str, list[str]]] = []
        self.expired: list[tuple[PolicyWaiver, tuple[str, ...]]] = []
        self.unneeded: list[PolicyWaiver] = []

    @property
    def stale(self) -> frozenset[str]:
        """The hosts whose daemon has unknown settings in force."""
        return frozenset(host for cell in self.cells if cell.is_stale for host in cell.hosts)


def load_fleet(
    store: Store,
    *,
    now: int,
    policy: Policy | None = None,
    max_age: int | None = None,
    memory: Memory | None = None,
) -> Fleet:
    """The fleet in ``store``, except for its disks."""
    memory = memory or Memory()
    fleet = Fleet(now, policy, max_age)
    fleet.problems = [UnreadSource(*row) for row in store.problems()]
    profiles = {number: memory.facts(text) for number, text in store.profiles()}
    distinct = {id(facts): facts for facts in profiles.values()}
    combinations = _combinations(store, profiles, memory)
    probed = _probed(store, combinations, fleet)
    all_facts = [*distinct.values(), *{id(facts): facts for facts, _ in probed.values()}.values()]
    fleet.ambiguous = _ambiguous(all_facts)
    cells: dict[tuple[str, int, int], Cell] = {}
    shared, devices = _shared_disks(store, combinations)
    words = policy.words if policy else None
    sharing = Sharing(all_facts, devices, words)
    fleet.not_compared = sorted(sharing.not_compared)
    of_policies = {group.name for group in policy.groups} if policy else set()
    boots: dict[str, str] = {}
    names: dict[int, str] = {}
    groups = sharing.groups_of_facts()
    late, early = now + _AHEAD, now - fleet.max_age
    # This is done for every host of a fleet, so it does little.
    for row in _newest(store.hosts(), fleet.twice):
        number, name, _, boot_id, taken, running, _, cell_number, source = row
        distinct_number, facts, circumstances, uses = combinations[cell_number]
        look = 0
        if not facts.live:
            fleet.sources[name] = source
        if boot_id and boots.setdefault(boot_id, name) != name:
            fleet.same.append((boots[boot_id], name))
        names[number] = name
        if number in probed:
            facts, look = probed[number]
        if not early <= taken <= late and facts.live:
            (fleet.ahead if taken > late else fleet.old).append(name)
        of_policy = policy.group_of(name) if policy else None
        if number in shared:
            fleet.places[number] = (name, facts, of_policy.name if of_policy else "")
        group = seen = groups.get(id(facts)) or sharing.group_of(number, facts)
        if of_policy is not None:
            group = of_policy.name
            fleet.sharing.setdefault(_outside(seen, of_policies), set()).add(group)
        elif of_policies:
            group = _outside(seen, of_policies)
        key = (group, distinct_number, look)
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = Cell(group, facts, circumstances, uses, policy=of_policy)
        cell.hosts.append(name)
        cell.running.append(running)
    fleet.cells = sorted(cells.values(), key=lambda cell: cell.hosts[0])
    fleet.groups = _groups(fleet, policy, sharing)
    fleet.guests_twice = _guests_twice(store, names)
    if policy is not None:
        there = {host for cell in fleet.cells for host in cell.hosts}
        named = {host for group in policy.groups for host in group.hosts.named}
        fleet.missing = sorted(named - there)
    return fleet


def _probed(
    store: Store, combinations: Mapping[int, _Combination], fleet: Fleet
) -> dict[int, tuple[Facts, int]]:
    """The facts of the hosts that took part in a probe, by their ids, together with what it showed;
    and for each host a number, which is the same for hosts of which the probe showed the same."""
    told = {host: json.loads(text) for host, text in store.evidence()}
    if not told:
        return {}
    counted = {row.number: row for row in _newest(store.hosts(), []) if row.number in told}
    early, late = fleet.now - fleet.max_age, fleet.now + _AHEAD
    for host in [host for host in counted if not early <= told[host]["taken"] <= late]:
        # What was mounted then may be another thing now.
        fleet.probed_long_ago.append(counted.pop(host).name)
    fleet.probe = probe_of({host: told[host] for host in counted})
    fleet.names = {host: row.name for host, row in counted.items()}
    seen: dict[tuple[int, object], tuple[Facts, int]] = {}
    found: dict[int, tuple[Facts, int]] = {}
    for host, sights in fleet.probe.sights.items():
        facts = fleet.expected[host] = combinations[counted[host].cell][1]
        key = (id(facts), tuple(sorted((path, sight.ids) for path, sight in sights.items())))
        if key not in seen:
            seen[key] = (with_sights(facts, sights), len(seen) + 1)
        found[host] = seen[key]
    return found


def _guests_twice(store: Store, names: Mapping[int, str]) -> list[tuple[str, list[str]]]:
    """The guests that run on several of the hosts that count, with their names."""
    found: dict[int, dict[str, str]] = {}
    for uuid, host, guest in store.guests_twice():
        if host in names:
            found.setdefault(uuid, {})[names[host]] = guest
    return sorted(
        (min(hosts.values()), sorted(hosts)) for hosts in found.values() if len(hosts) > 1
    )


def _outside(group: str, of_policy: Container[str]) -> str:
    """The name of an inferred group, which differs from the names of the policy's groups."""
    return f"{group} (in no group of the policy)" if group in of_policy else group


def _combinations(
    store: Store, profiles: Mapping[int, Facts], memory: Memory
) -> dict[int, _Combination]:
    """The cells of a store, with one number for each distinct cell: joined stores may have the same
    cell twice."""
    ways: dict[int, tuple[str, Use]] = {}
    for number, text in store.ways():
        ways[number] = (text, memory.use(text))
    if not all(use.asked for _, use in ways.values()) and store.has_several_disks():
        # One of the other disks may be below an image of which no host was asked.
        ways = {
            number: (text, use if use.asked else use.replace(chain=False))
            for number, (text, use) in ways.items()
        }
    numbers: dict[tuple[int, str, tuple[str, ...]], int] = {}
    found: dict[int, _Combination] = {}
    of_cells = store.ways_of_cells()
    for number, profile, circumstances in store.cells():
        facts = profiles[profile]
        of_host = sorted((ways[way] for way in of_cells.get(number, ())), key=itemgetter(0))
        key = (id(facts), circumstances, tuple(text for text, _ in of_host))
        distinct = numbers.setdefault(key, len(numbers))
        words = [each.split("|") for each in json.loads(circumstances)]
        found[number] = (distinct, facts, words, [use for _, use in of_host])
    return found


def _shared_disks(
    store: Store, combinations: Mapping[int, _Combination]
) -> tuple[set[int], dict[str, dict[int, Facts]]]:
    """The hosts that may have a disk in common with others, by their ids; and by the name of each
    common block device the hosts that count and have it, with their facts."""
    shared = store.hosts_of_shared_disks()
    found = store.hosts_of_shared_devices()
    if not found:
        return shared, {}
    users = set().union(*found.values())
    counted = {
        row.number: combinations[row.cell][1]
        for row in _newest(store.hosts(), [])
        if row.number in users
    }
    return shared, {
        name: {host: counted[host] for host in hosts if host in counted}
        for name, hosts in found.items()
    }


def _newest(rows: Iterable[StoredHost], twice: list[_Twice]) -> Iterable[StoredHost]:
    """The newest snapshot of each host. It notes an older one in ``twice``, unless the two are
    equal."""
    last: StoredHost | None = None
    last_name: str | None = None
    others: list[StoredHost] = []
    for row in rows:
        if row[1] == last_name and last is not None:
            if row._replace(number=0, source="") != last._replace(number=0, source=""):
                others.append(row)
            continue
        if others and last is not None:
            twice.append(_twice(last, others))
            others = []
        last, last_name = row, row[1]
        yield row
    if last is not None and others:
        twice.append(_twice(last, others))


def _twice(counts: StoredHost, others: Sequence[StoredHost]) -> _Twice:
    """The note about several snapshots with one host name. Different machine ids show different
    machines."""
    machines = {row.machine_id for row in (counts, *others) if row.machine_id}
    return counts.name, (counts.source, *(row.source for row in others)), len(machines) > 1


def _directories(facts: Facts) -> Iterable[Directory]:
    yield from facts.spaces
    yield from facts.storages
    yield from facts.leases


def _ambiguous(all_facts: Iterable[Facts]) -> frozenset[tuple[str, str]]:
    """The places where one name stands for several directories: hosts see different inode numbers
    there, or a probe found different scratch files."""
    seen: dict[tuple[str, str], set[int]] = {}
    nonces: dict[tuple[str, str], dict[str, str]] = {}
    for facts in all_facts:
        for directory in _directories(facts):
            place = directory.place
            if place.system and place.inode is not None:
                seen.setdefault((place.system, place.path), set()).add(place.inode)
            for each in place.ids if place.system else ():
                if each.startswith("nonce:"):
                    of_round, _, nonce = each.partition("/")
                    known = nonces.setdefault((place.system, place.path), {})
                    if known.setdefault(of_round, nonce) != nonce:
                        seen.setdefault((place.system, place.path), set()).update((-1, -2))
    return frozenset(name for name, inodes in seen.items() if len(inodes) > 1)


def _groups(fleet: Fleet, policy: Policy | None, sharing: Sharing) -> list[Group]:
    groups: dict[str, Group] = {}
    devices = sharing.devices()
    words = policy.words if policy else None
    for of_policy in policy.groups if policy else ():
        groups[of_policy.name] = Group(
            of_policy.name, inferred=False, policy=of_policy, aliases=sharing.aliases, words=words
        )
    for cell in fleet.cells:
        group = groups.get(cell.group)
        if group is None:
            group = groups[cell.group] = Group(
                cell.group, inferred=True, aliases=sharing.aliases, words=words
            )
        group.cells.append(cell)
    for group in groups.values():
        group.storages = sorted(
            {
                (storage.mounted or storage.place).shown
                for cell in group.cells
                for storage in cell.facts.storages
                if storage.place.system
            }
        ) + _in_words(devices.get(group.name, ()) if group.inferred else ())
    return [groups[name] for name in sorted(groups)]


def _in_words(devices: Sequence[str]) -> list[str]:
    """The block devices that hosts share, in words: there may be thousands."""
    if len(devices) < 2:
        return list(devices)
    return [f"{len(devices)} block devices, such as {devices[0]}"]
