"""Proposes a first policy from the present state. A person must read and correct it; it is not a
verdict."""

from __future__ import annotations

import json

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.host.host import LOCKING_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Cell, Group

_HEAD = """\
# Which hosts share storage, and how to configure them. Made from snapshots: the settings are those
# of most of the best-protected hosts of a group, and the majority may be wrong. Read it, decide
# what is left open, and correct it.
"""

#: The longest name that a group keeps, as a policy and YAML limit it.
_LONGEST = 200


def proposed_policy(fleet: Fleet) -> str:
    """A policy for the groups of ``fleet``, as YAML."""
    lines = [_HEAD + "groups:"]
    groups = [group for group in fleet.groups if group.name and group.cells]
    for number, group in enumerate(groups, 1):
        name = _quoted(group.name)
        lines += _group(group, name if len(name) <= _LONGEST else f"group-{number}")
    if not groups:
        lines[-1] += " {}"
    alone = [host for group in fleet.groups if not group.name for host in group.hosts]
    if alone:
        lines.append("# In no group, as they were not seen to share storage:")
        lines += [f"#   {_quoted(names)}" for names in fold(alone)]
    lines.append(f"max-age-hours: {fleet.max_age // 3600}")
    return "\n".join(lines) + "\n"


def _group(group: Group, name: str) -> Iterable[str]:
    yield f"  {name}:"
    yield "    hosts:"
    # A host whose name looks like a range can only be named by a glob.
    odd = [host for host in group.hosts if "[" in host]
    for names in fold(host for host in group.hosts if "[" not in host):
        yield f"      - {_quoted(names)}"
    for host in odd:
        yield f"      - {_quoted(host.replace('[', '?'))}"
    voters = _best(group)
    if not voters:
        yield "    # decide lock_manager and the rest: no host here locks for others to see"
        yield "    settings: {}"
        return
    yield "    settings:"
    chosen: dict[str, Any] = {}
    for key in LOCKING_KEYS:
        values = _counted((cell.facts.settings[key], len(cell.hosts)) for cell in voters)
        if key == "lock_manager" and len(managers := _managers(group)) > 1:
            # To change one is to switch off what protects its hosts.
            yield from _open(key, managers)
            continue
        if key == "require_lease_for_disks":
            continue
        if key in _OF_DEVICES and len(values) > 1:
            # A directory protects more than none, also devices that a guest gets later.
            values = [each for each in values if each[0] is not None]
        if len(values) > 1 and values[0][1] == values[1][1]:
            yield from _open(key, values)
            continue
        chosen[key] = values[0][0]
        if values[0][0] is not None or key.endswith("_dir"):
            yield f"      {key}: {_quoted(values[0][0])}"
    places = {
        setting: _counted(
            (space.place.shown, len(cell.hosts))
            for cell in voters
            for space in cell.facts.spaces
            if space.setting == setting and space.place.system and space.path == path
        )
        for setting, path in sorted(chosen.items())
        if setting.endswith("_dir") and path is not None
    }
    if any(places.values()):
        yield "    storage:"
    for setting, values in places.items():
        if len(values) > 1 and values[0][1] == values[1][1]:
            yield from _open(setting, values)
        elif values:
            yield f"      {setting}: {_quoted(values[0][0])}"
    yield "    failed-hosts: 1"


def _managers(group: Group) -> list[tuple[Any, int]]:
    """The lock managers in use, with the number of hosts of each."""
    used = ((cell.facts.settings["lock_manager"], len(cell.hosts)) for cell in group.cells)
    return _counted(each for each in used if each[0] not in ("nop", None))


def _best(group: Group) -> list[Cell]:
    """The hosts whose settings count: the ones with the best protection. A host that locks nothing,
    or whose locks no other host sees, does not decide how the others lock."""
    ranks = [(_rank(cell, group), cell) for cell in group.cells]
    best = max(rank for rank, _ in ranks)
    return [cell for rank, cell in ranks if rank == best and rank[0]]


def _rank(cell: Cell, group: Group) -> tuple[int, int]:
    """How well hosts are protected: 3 if other hosts see the locks on disks, 2 if that is unknown,
    1 if another lock manager is in use, 0 if nothing is locked or only for the host itself. With
    equal ranks, the number of kinds of disk with that protection counts."""
    facts = cell.facts
    manager = facts.settings["lock_manager"]
    if manager not in ("lockd", "nop", None):
        return 1, 0
    if not facts.locks_disks or facts.refused:
        return 0, 0
    reaches = [
        domain.reach
        for kind in group.kinds
        if kind != "lease" and (domain := cell.domain(kind, frozenset())) is not None
    ]
    best = max((_REACHES[reach] for reach in reaches), default=0)
    return best, sum(_REACHES[reach] for reach in reaches)


#: The settings without which block devices have no lock that other hosts see.
_OF_DEVICES: Final = ("lvm_lockspace_dir", "scsi_lockspace_dir")

_REACHES: Final = {"no": 0, "unknown": 2, "yes": 3}


def _open(key: str, values: Sequence[tuple[Any, int]]) -> Iterable[str]:
    """The settings that a person must decide: as many hosts have one value as another."""
    said = ", ".join(f"{_quoted(value)} ({count})" for value, count in values[:_SHOWN])
    yield f"      # decide {key}, which differs (hosts): {said}"


#: How many values the policy shows to choose from at most.
_SHOWN = 5


def _counted(values: Iterable[tuple[Any, int]]) -> list[tuple[Any, int]]:
    """The values with the number of hosts that have each, the largest first."""
    counts: dict[Any, int] = {}
    for value, count in values:
        counts[value] = counts.get(value, 0) + count
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))


def _quoted(value: object) -> str:
    """A value as YAML. JSON is YAML too, except for characters that JSON needs two escapes for."""
    if not isinstance(value, str) or value.isascii():
        return json.dumps(value)
    escaped = (json.dumps(c)[1:-1] if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in value)
    return f'"{"".join(escaped)}"'
