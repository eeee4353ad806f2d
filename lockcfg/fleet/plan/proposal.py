"""A first policy, from what is there: something to be read and corrected, and no judgement."""

from __future__ import annotations

import json

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.host.host import LOCKING_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from lockcfg.fleet.comparison.fleet import Fleet, Group

_HEAD = """\
# Who shares storage, and how these hosts are to be configured. Made from what was there: the
# settings are those of most hosts of a group, and the many may be wrong. Read it, and correct it.
"""

#: The longest name that a group keeps: a policy and YAML have limits for it.
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
    # No host should be called like a range; one that is can be named by a glob.
    odd = [host for host in group.hosts if "[" in host]
    for names in fold(host for host in group.hosts if "[" not in host):
        yield f"      - {_quoted(names)}"
    for host in odd:
        yield f"      - {_quoted(host.replace('[', '?'))}"
    yield "    settings:"
    for key in LOCKING_KEYS:
        value = _most((cell.facts.settings[key], len(cell.hosts)) for cell in group.cells)
        if key == "require_lease_for_disks" or (value is None and not key.endswith("_dir")):
            continue
        yield f"      {key}: {_quoted(value)}"
    places = {
        space.setting for cell in group.cells for space in cell.facts.spaces if space.place.system
    }
    if places:
        yield "    storage:"
    for setting in sorted(places):
        place = _most(
            (space.place.shown, len(cell.hosts))
            for cell in group.cells
            for space in cell.facts.spaces
            if space.setting == setting and space.place.system
        )
        yield f"      {setting}: {_quoted(place)}"
    yield "    failed-hosts: 1"


def _most(values: Iterable[tuple[Any, int]]) -> Any:
    """The value that most hosts have; of two as frequent, the one that is sorted last."""
    counts: dict[Any, int] = {}
    for value, count in values:
        counts[value] = counts.get(value, 0) + count
    return max(counts.items(), key=lambda item: (item[1], str(item[0])))[0]


def _quoted(value: object) -> str:
    """A value as YAML. JSON is YAML too, but for characters that JSON needs two escapes for."""
    if not isinstance(value, str) or value.isascii():
        return json.dumps(value)
    escaped = (json.dumps(c)[1:-1] if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in value)
    return f'"{"".join(escaped)}"'
