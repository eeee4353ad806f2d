"""Hosts that share storage: groups, and in them cells of hosts that are alike."""

from __future__ import annotations

import heapq
from itertools import chain

from lockcfg.fleet.model.domains import domain_of
from lockcfg.fleet.model.locks import DISK_KINDS
from lockcfg.fleet.model.place import relation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Final

    from lockcfg.fleet.model.domains import Domain
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.model.locks import Kind
    from lockcfg.fleet.model.place import Location, Relation
    from lockcfg.fleet.model.uses import Use
    from lockcfg.fleet.model.words import Words
    from lockcfg.fleet.policy.policy import PolicyGroup

#: Kinds of file systems that the nodes of one cluster mount; each node has its own name for the
#: device.
_OF_CLUSTERS: Final = frozenset(("gfs2", "ocfs2"))

#: How many lock domains of a group are compared with each other at most.
_COMPARED: Final = 100


class Cell:
    """Hosts of one group that are alike in everything that the rules look at.

    ``circumstances`` are what an audit knows about them besides their facts, each as a tuple of a
    word and its subject. ``policy`` is what the policy says about their group, or None. ``hosts``
    are their names, sorted, and ``running`` is how many guests each runs.
    """

    __slots__ = ("circumstances", "facts", "group", "hosts", "policy", "running", "uses")

    def __init__(
        self,
        group: str,
        facts: Facts,
        circumstances: Sequence[Sequence[str]] = (),
        uses: Sequence[Use] = (),
        policy: PolicyGroup | None = None,
    ) -> None:
        self.group: Final = group
        self.policy: Final = policy
        self.facts: Final = facts
        self.circumstances: Final = tuple(tuple(each) for each in circumstances)
        self.uses: Final = tuple(uses)
        self.hosts: Final[list[str]] = []
        self.running: Final[list[int]] = []

    def about(self, word: str) -> list[tuple[str, ...]]:
        """The subjects of the circumstances with one word."""
        return [each[1:] for each in self.circumstances if each[0] == word]

    def domain(self, kind: Kind, ambiguous: frozenset[tuple[str, str]]) -> Domain | None:
        """The lock domain of these hosts for a kind of disk."""
        facts = self.facts
        return domain_of(
            facts.locking,
            kind,
            images=[storage.place for storage in facts.storages],
            leases=[lease.place for lease in facts.leases],
            ambiguous=ambiguous,
        )

    @property
    def is_stale(self) -> bool:
        """Whether libvirt's daemon has unknown settings in force, because its files are newer."""
        return any(reader != "virtlockd" for _, reader in self.about("stale"))

    @property
    def runs_lockd(self) -> bool:
        """Whether the lock daemon that runs there is lockd."""
        return ("lockd",) in self.about("runs")

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of disk that their guests have and that take locks."""
        found = {use.kind for use in self.uses if use.kind != "network" and not use.readonly}
        if self.facts.leases:
            found.add("lease")
        return frozenset(found)


class Group:
    """Hosts that share storage: what a :class:`~lockcfg.fleet.comparison.result.GroupRow` is made
    of. ``cells`` are the cells of its hosts; ``policy`` is what the policy says about them, or
    None."""

    __slots__ = ("aliases", "cells", "inferred", "name", "policy", "storages", "words")

    def __init__(
        self,
        name: str,
        *,
        inferred: bool,
        policy: PolicyGroup | None = None,
        aliases: Collection[frozenset[str]] = (),
        words: Words | None = None,
    ) -> None:
        self.aliases: Final = aliases
        self.words: Final = words
        self.name: Final = name
        self.inferred: Final = inferred
        self.policy: Final = policy
        self.cells: Final[list[Cell]] = []
        self.storages: Sequence[str] = ()

    @property
    def hosts(self) -> list[str]:
        """The names of its hosts, sorted."""
        return sorted(chain.from_iterable(cell.hosts for cell in self.cells))

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of disk that its guests have; image files if it has no guests."""
        found = {kind for cell in self.cells for kind in cell.kinds} or {"image"}
        return [kind for kind in DISK_KINDS if kind in found]

    def domains(
        self, kind: Kind, ambiguous: frozenset[tuple[str, str]]
    ) -> list[tuple[Domain, list[Cell]]]:
        """The lock domains for a kind of disk, with their hosts: the largest first, and domains of
        one size in the order of their names. Hosts without disks of that kind are in them too, as a
        guest with such a disk may come. Several names of one directory make one domain."""
        by_key: dict[tuple[str, str, str], tuple[Domain, list[Cell]]] = {}
        for cell in self.cells:
            domain = cell.domain(kind, ambiguous)
            if domain is not None:
                key = (domain.mode, domain.key, domain.reach)
                by_key.setdefault(key, (domain, []))[1].append(cell)
        return sorted(
            self._merged(list(by_key.values())),
            key=lambda each: (-count_of(each[1]), each[0].mode, each[0].key, each[0].reach),
        )

    def _merged(self, domains: list[tuple[Domain, list[Cell]]]) -> list[tuple[Domain, list[Cell]]]:
        """Domains, with domains that lock in the same directory merged."""
        merged: list[tuple[Domain, list[Cell]]] = []
        for domain, cells in sorted(domains, key=lambda each: (each[0].mode, each[0].key)):
            for number, (other, of_other) in enumerate(merged[:_COMPARED]):
                if "unknown" in (domain.reach, other.reach) and domain.reach != other.reach:
                    continue
                if self.relation(domain, other) == "same":
                    of_other += cells
                    if other.place is not None and other.place.local:
                        merged[number] = (domain, of_other)  # the server's own name for it
                    break
            else:
                merged.append((domain, list(cells)))
        return merged

    def relation(self, one: Domain, other: Domain) -> Relation:
        """Whether two domains lock in the same directory."""
        if one.mode != other.mode or one.place is None or other.place is None:
            return (
                "same"
                if (one.mode, one.key, one.reach) == (other.mode, other.key, other.reach)
                else "different"
            )
        return self.relation_of(one.place, other.place)

    def relation_of(self, one: Location, other: Location) -> Relation:
        """Whether two directories of its hosts are the same. Directories that are likely the same
        count as the same in three cases: the policy says that these hosts share their storage;
        nothing better is known of the storage; or it is a file system of a cluster, which has
        another name on each host."""
        found = relation(one, other, taken_for_one=self.aliases, words=self.words)
        if found == "likely" and (
            self.policy is not None
            or frozenset((one.system, other.system)) in self.aliases
            or {one.kind, other.kind} <= _OF_CLUSTERS
        ):
            return "same"
        return found

    def leading(self, domains: Sequence[tuple[Domain, list[Cell]]]) -> Domain | None:
        """The largest domain whose hosts exclude each other: the other domains count as apart from
        it. If several have that size, there is none, as no majority gives a hint."""
        reaching = [(count_of(cells), domain) for domain, cells in domains if domain.reach == "yes"]
        largest = max((count for count, _ in reaching), default=0)
        found = [domain for count, domain in reaching if count == largest]
        return found[0] if len(found) == 1 else None

    def most_guests(self, hosts: int) -> list[int]:
        """How many guests each of its busiest hosts runs."""
        return heapq.nlargest(hosts, chain.from_iterable(cell.running for cell in self.cells))


def count_of(cells: Iterable[Cell]) -> int:
    """How many hosts some cells have together."""
    return sum(len(cell.hosts) for cell in cells)
