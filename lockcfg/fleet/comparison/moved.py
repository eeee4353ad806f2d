"""Finds the hosts that have left or joined a lock domain since an earlier audit. Pure."""

from __future__ import annotations

from lockcfg.fleet.comparison.result import FindingChange
from lockcfg.fleet.policy.host_ranges import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Final

    from lockcfg.fleet.comparison.result import DomainRow

    #: A domain: the kind of disk, its identity, its place, and its hosts.
    _Domain = tuple[str, str, str, frozenset[str]]

#: The kinds of disk, in words.
_KINDS: Final = {"image": "images", "lvm": "logical volumes", "scsi": "SCSI disks"}

#: How many ranges of hosts a change names.
_MOST: Final = 10


class Moved:
    """The changes: hosts that have ``left`` a domain whose larger part has stayed together, and
    hosts that have ``joined`` one."""

    __slots__ = ("joined", "left")

    def __init__(self, left: Sequence[FindingChange], joined: Sequence[FindingChange]) -> None:
        self.left: Final = tuple(left)
        self.joined: Final = tuple(joined)


def moved(
    old: Sequence[Mapping[str, Any]],
    new: Sequence[DomainRow],
    known_before: set[str],
    known_now: set[str],
) -> Moved:
    """Who has moved. ``old`` are the domains in the JSON report of an earlier audit, and only hosts
    count that were ``known_before`` and are ``known_now``."""
    was = [(row["kind"], row["mode"], row["key"], row["where"], row["hosts"]) for row in old]
    if was == [(row.kind, row.mode, row.key, row.where, row.hosts) for row in new]:
        return Moved((), ())
    both = frozenset(known_before & known_now)
    before, after = _of_report(old, both), _of_result(new, both)
    if sorted(before, key=_order) == sorted(after, key=_order):
        return Moved((), ())
    return Moved([*_left(before, after)], [*_joined(before, after)])


def _order(domain: _Domain) -> tuple[str, str, str]:
    return domain[:3]


def _left(before: Sequence[_Domain], after: Sequence[_Domain]) -> Iterator[FindingChange]:
    for kind, key, _where, hosts in _apart(before, after):
        rest = _rest(kind, key, hosts, before)
        yield FindingChange(
            "error",
            f"no longer in one lock domain with {shortened(rest, _MOST)}"
            f" ({_KINDS.get(kind, kind)}): {_now(kind, hosts, after)}",
            sorted(hosts),
        )


def _joined(before: Sequence[_Domain], after: Sequence[_Domain]) -> Iterator[FindingChange]:
    for kind, key, _where, hosts in _apart(after, before):
        rest = _rest(kind, key, hosts, after)
        yield FindingChange(
            "error",
            f"now in one lock domain with {shortened(rest, _MOST)} ({_KINDS.get(kind, kind)})",
            sorted(hosts),
        )


def _of_report(rows: Iterable[Mapping[str, Any]], both: frozenset[str]) -> list[_Domain]:
    return [
        (
            str(row["kind"]),
            f"{row['mode']} {row['key']}",
            str(row["where"]),
            both.intersection(map(str, row["hosts"])),
        )
        for row in rows
        if row["mode"] != "none"
    ]


def _of_result(rows: Iterable[DomainRow], both: frozenset[str]) -> list[_Domain]:
    return [
        (row.kind, f"{row.mode} {row.key}", row.where, both.intersection(row.hosts))
        for row in rows
        if row.mode != "none"
    ]


def _apart(one: Sequence[_Domain], other: Sequence[_Domain]) -> Iterator[_Domain]:
    """The parts of the domains in ``one`` that ``other`` does not have together with the largest
    part of their domain, each with that domain. Only hosts that both audits know count."""
    for kind, key, where, hosts in one:
        parts = [hosts & theirs for each, _, _, theirs in other if each == kind and hosts & theirs]
        parts += [frozenset((host,)) for host in sorted(hosts.difference(*parts))]
        if len(parts) < 2:
            continue
        parts.sort(key=lambda part: (-len(part), sorted(part)))
        for part in parts[1:]:
            yield kind, key, where, part


def _rest(kind: str, key: str, hosts: frozenset[str], domains: Sequence[_Domain]) -> frozenset[str]:
    """The other hosts of the domain that ``hosts`` belong to."""
    for each, its_key, _, all_hosts in domains:
        if (each, its_key) == (kind, key) and hosts <= all_hosts:
            return all_hosts - hosts
    return frozenset()


def _now(kind: str, hosts: frozenset[str], domains: Sequence[_Domain]) -> str:
    """What locks the disks of hosts now, in words."""
    for each, _, where, theirs in domains:
        if each == kind and hosts & theirs:
            return f"now locked by {where}"
    return "nothing is locked now"
