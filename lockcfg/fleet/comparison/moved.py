"""Finds the hosts that have left or joined a lock domain since an earlier audit. Pure."""

from __future__ import annotations

from lockcfg.fleet.comparison.result import Change
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


def left(
    old: Iterable[Mapping[str, Any]], new: Iterable[DomainRow], both: frozenset[str]
) -> Iterator[Change]:
    """The hosts that have left a domain whose larger part has stayed together. ``old`` are the
    domains in the JSON report of an earlier audit, ``both`` the hosts that both audits know."""
    before, after = _of_report(old, both), _of_result(new, both)
    for kind, key, _where, hosts in _apart(before, after):
        rest = _rest(kind, key, hosts, before)
        yield Change(
            "error",
            f"no longer in one lock domain with {shortened(rest, _MOST)}"
            f" ({_KINDS.get(kind, kind)}): {_now(kind, hosts, after)}",
            sorted(hosts),
        )


def joined(
    old: Iterable[Mapping[str, Any]], new: Iterable[DomainRow], both: frozenset[str]
) -> Iterator[Change]:
    """The hosts that have joined a domain."""
    before, after = _of_report(old, both), _of_result(new, both)
    for kind, key, _where, hosts in _apart(after, before):
        rest = _rest(kind, key, hosts, after)
        yield Change(
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
