"""Two hosts with one number in a lockspace of sanlock.

## What it does

Reports hosts that have the same `host_id` and their leases in the same directory.

## Why is this bad

sanlock tells hosts apart by that number alone. The second host cannot join the lockspace while the
first one is in it, and its guests do not start. If both daemons were given one name too
(`our_host_name`), both join, and do not exclude each other.

## Example

```yaml fleet
kvm01:
  qemu.conf: lock_manager = "sanlock"
  qemu-sanlock.conf: |
    auto_disk_leases = 1
    host_id = 1
    disk_lease_dir = "/srv/locks/files"
kvm02:
  qemu.conf: lock_manager = "sanlock"
  qemu-sanlock.conf: |
    auto_disk_leases = 1
    host_id = 1
    disk_lease_dir = "/srv/locks/files"
```

## Use instead

```yaml fleet
kvm01:
  qemu.conf: lock_manager = "sanlock"
  qemu-sanlock.conf: |
    auto_disk_leases = 1
    host_id = 1
    disk_lease_dir = "/srv/locks/files"
kvm02:
  qemu.conf: lock_manager = "sanlock"
  qemu-sanlock.conf: |
    auto_disk_leases = 1
    host_id = 2
    disk_lease_dir = "/srv/locks/files"
```

## Fix

None: you decide which of them gets another number.
"""

from __future__ import annotations

from lockcfg.fleet.model.place import relation
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Cell
    from lockcfg.fleet.model.place import Location

RULE = Rule("LA112", "sanlock-host-id", "error", scope="fleet")

#: How many directories of hosts with one number are compared with each other at most.
_COMPARED: Final = 100


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    by_number: dict[int, list[Cell]] = {}
    for cell in fleet.cells:
        sanlock = cell.facts.sanlock
        if sanlock is not None and sanlock.auto and sanlock.host_id:
            by_number.setdefault(sanlock.host_id, []).append(cell)
    words = fleet.policy.words if fleet.policy else None
    for number, cells in sorted(by_number.items()):
        spaces: list[tuple[Location, list[str]]] = []
        for cell in cells:
            sanlock = cell.facts.sanlock
            assert sanlock is not None
            place = sanlock.directory.place
            # On a local file system each host has a directory of its own, unless a host exports it.
            for alike in [[host] for host in cell.hosts] if place.local else [cell.hosts]:
                for other, hosts in spaces[:_COMPARED]:
                    if relation(place, other, words=words) in ("same", "likely"):
                        hosts += alike
                        break
                else:
                    spaces.append((place, list(alike)))
        if len(spaces) > _COMPARED:
            yield Observation(
                f"host_id {number} of sanlock is that of hosts with {len(spaces)} directories: it"
                " is unknown whether some of these are one, as not all were compared",
                hosts=[host for _, hosts in spaces for host in hosts],
                severity="warning",
                help="give each host a number of its own, from 1 to 2000",
                unknown=True,
            )
        for place, hosts in spaces:
            if len(hosts) > 1:
                yield Observation(
                    f"host_id {number} of sanlock is that of {len(hosts)} hosts with their leases"
                    f" in {place.shown}: only one of them can join",
                    hosts=hosts,
                    help="give each host a number of its own, from 1 to 2000",
                )
