"""A first policy, from what is there: something to be read and corrected, and no judgement."""

from __future__ import annotations

import json

from lockcfg.fleet.names import fold
from lockcfg.host.host import LOCKING_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from lockcfg.fleet.fleet import Fleet, Group

_HEAD = """\
# Who shares storage, and how these hosts are to be configured. Made from what was there: the
# settings are those of most hosts of a group, and the many may be wrong. Read it, and correct it.
"""


def proposed_policy(fleet: Fleet) -> str:
    """A policy for the groups of ``fleet``, as YAML."""
    lines = [_HEAD + "groups:"]
    groups = [group for group in fleet.groups if group.name and group.cells]
    for group in groups:
        lines += _group(group)
    if not groups:
        lines[-1] += " {}"
    lines.append(f"max-age-hours: {fleet.max_age // 3600}")
    return "\n".join(lines) + "\n"


def _group(group: Group) -> Iterable[str]:
    yield f"  {_quoted(group.name)}:"
    yield "    hosts:"
    for names in fold(group.hosts):
        yield f"      - {_quoted(names)}"
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
    """A value as JSON, which YAML reads too."""
    return json.dumps(value)
