"""Finds which hosts share storage, as far as snapshots show it.

Hosts share storage if disks of their guests are on the same file system, or if their guests have
the same block device, by its UUID or id. A file system may have several names: see
:func:`~lockcfg.fleet.model.place.relation`. A host that shares storage with one host of a group
belongs to that group. Pure: it turns facts into groups.
"""

from __future__ import annotations

from lockcfg.fleet.model.place import relation
from lockcfg.fleet.model.uses import is_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from lockcfg.fleet.model.facts import Facts
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
        for facts in all_facts:
            names = [
                place.shown
                for storage in facts.storages
                for place in (storage.mounted, storage.place)
                if place and place.system
            ]
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
                    found.setdefault((place.inode, name), {}).setdefault(place.shown, place)
                    if words is not None:
                        found.setdefault("said", {}).setdefault(place.shown, place)
        for places in found.values():
            several = list(places.values())[:_COMPARED]
            if len(places) > _COMPARED:
                self.not_compared.append(several[0].shown)
            for number, one in enumerate(several):
                for other in several[number + 1 :]:
                    if relation(one, other, words=words) in ("same", "likely"):
                        self._join(one.shown, other.shown)
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
