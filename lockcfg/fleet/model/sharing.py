"""Finds which hosts share storage, as far as snapshots show it.

Hosts share storage if disks of their guests are on the same file system, or if their guests have
the same block device, by its UUID or id. A file system may have several names, and one name may
mean two file systems: see :func:`~lockcfg.fleet.model.place.relation`. A host that shares storage
with one host of a group belongs to that group. Pure: it turns facts into groups.
"""

from __future__ import annotations

from itertools import chain

from lockcfg.fleet.model.place import relation
from lockcfg.fleet.model.uses import is_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final

    from lockcfg.fleet.model.facts import Directory, Facts
    from lockcfg.fleet.model.place import Location
    from lockcfg.fleet.model.words import Words

#: How many names of one thing are compared with each other at most.
_COMPARED: Final = 100


class Sharing:
    """The groups of hosts that share storage.

    ``all_facts`` are all distinct facts; ``devices`` has for each block device the numbers of its
    hosts, with their facts. The name of a group is that of one of its file systems or, without any,
    of one of its devices: the least name, so the order does not matter.
    """

    def __init__(
        self,
        all_facts: Iterable[Facts],
        devices: Mapping[str, Mapping[int, Facts]],
        words: Words | None = None,
    ) -> None:
        all_facts = list(all_facts)
        self._parents: Final[dict[str, str]] = {}
        self._of_facts: Final[dict[int, str]] = {}
        self._of_host: Final[dict[int, str]] = {}
        self._apart: Final = _told_apart(
            place for facts in all_facts for storage in facts.storages for place in _places(storage)
        )
        for facts in all_facts:
            names = [self._name(place) for storage in facts.storages for place in _places(storage)]
            for name in names:
                self._join(names[0], name)
            if names:
                self._of_facts[id(facts)] = names[0]
        #: Pairs of systems that are likely one server, as what is on them shows.
        self.aliases: Final[set[frozenset[str]]] = set()
        #: Directories that have so many names that not all of these were compared.
        self.not_compared: Final[list[str]] = []
        self._join_aliases(all_facts, words)
        self._devices: Final[list[str]] = []
        for device, users in devices.items():
            if len(users) < 2:
                continue
            self._devices.append(device)
            for host, facts in users.items():
                self._join(device, self._of_facts.get(id(facts), device))
                self._of_host[host] = device

    def _join_aliases(self, all_facts: Iterable[Facts], words: Words | None) -> None:
        """Join names of the same storage: they have the same number and name behind them, or the
        policy says so."""
        found: dict[object, dict[str, Location]] = {}
        for facts in all_facts:
            for storage in facts.storages:
                place = storage.place
                if place.system:
                    name = place.path.rpartition("/")[2]
                    mine = self._name(place)
                    found.setdefault((place.inode, name), {}).setdefault(mine, place)
                    if words is not None:
                        found.setdefault("said", {}).setdefault(mine, place)
        for places in found.values():
            several = list(places.values())[:_COMPARED]
            if len(places) > _COMPARED:
                self.not_compared.append(several[0].shown)
            for number, one in enumerate(several):
                for other in several[number + 1 :]:
                    if relation(one, other, words=words) in ("same", "likely"):
                        self._join(self._name(one), self._name(other))
                        self.aliases.add(frozenset((one.system, other.system)))

    def group_of(self, host: int, facts: Facts) -> str:
        """The name of the group of a host; empty if the host was not seen to share anything."""
        name = self._of_facts.get(id(facts)) or self._of_host.get(host)
        return self._top(name) if name else ""

    def groups_of_facts(self) -> dict[int, str]:
        """The names of the groups of hosts that share a file system, by the identity of their
        facts: :meth:`group_of` has no other for them."""
        return {number: self._top(name) for number, name in self._of_facts.items()}

    def devices(self) -> dict[str, list[str]]:
        """The block devices that several hosts have, by the group of these hosts."""
        found: dict[str, list[str]] = {}
        for device in sorted(self._devices):
            found.setdefault(self._top(device), []).append(device)
        return found

    def _name(self, place: Location) -> str:
        return self._apart.get(_key(place), place.shown)

    def _top(self, name: str) -> str:
        parents = self._parents
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    def _join(self, one: str, other: str) -> None:
        for name in (one, other):
            self._parents.setdefault(name, name)
        first, second = sorted(
            (self._top(one), self._top(other)), key=lambda name: (is_device(name), name)
        )
        self._parents[second] = first


def _places(storage: Directory) -> Iterator[Location]:
    """The places that show what a storage is on: the root of its mount, and itself."""
    mounted = storage.mounted
    # The number of the root is known if the images are there.
    if mounted is not None and mounted.system and mounted.shown != storage.place.shown:
        yield mounted
    if storage.place.system:
        yield storage.place


def _key(place: Location) -> tuple[str, int | None, tuple[str, ...]]:
    return place.shown, place.inode, place.ids


def _told_apart(
    places: Iterable[Location],
) -> dict[tuple[str, int | None, tuple[str, ...]], str]:
    """A name of its own for each of several places that have one name and are shown to be two, such
    as directories of two servers with one address."""
    by_name: dict[str, dict[tuple[str, int | None, tuple[str, ...]], Location]] = {}
    for place in places:
        by_name.setdefault(place.shown, {}).setdefault(_key(place), place)
    found: dict[tuple[str, int | None, tuple[str, ...]], str] = {}
    for several in by_name.values():
        if not 1 < len(several) <= _COMPARED:
            continue
        kinds: list[list[Location]] = []
        for place in several.values():
            alike = [k for k in kinds if any(relation(place, o) != "different" for o in k)]
            kinds = [k for k in kinds if k not in alike]
            kinds.append([place, *chain.from_iterable(alike)])
        if len(kinds) > 1:
            for kind in kinds:
                what = min(
                    f"inode {place.inode}" if place.inode else " ".join(place.ids) for place in kind
                )
                found.update({_key(place): f"{place.shown} ({what})" for place in kind})
    return found
