"""Leases of sanlock in a directory that is not there, or that no other host has.

## What it does

Reports a `disk_lease_dir` that does not exist, or is on a file system of the host alone, if
`sanlock` is the lock manager and `auto_disk_leases` is 1. If it cannot be looked at, that is a
warning, and what its host leases is unknown.

## Why is this bad

The leases keep other hosts out only if these read and write the same files. Without the
directory no guest starts.

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
    host_id = 2
    disk_lease_dir = "/srv/locks/files"
  lockspace: {missing: true}
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

None: mount the file system that the other hosts have there.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA113", "sanlock-lease-directory", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    sanlock = cell.facts.sanlock
    if sanlock is None or not sanlock.auto:
        return
    space = sanlock.directory
    if space.state == "missing":
        yield Observation(
            f"{space.setting}: {space.path} is not there: no guest starts",
            help="mount the shared file system there",
        )
    elif space.state == "error":
        yield Observation(
            f"{space.setting}: {space.path} cannot be looked at: {space.error}",
            severity="warning",
            unknown=True,
        )
    elif space.place.local:
        yield Observation(
            f"{space.setting}: {space.path} is on {space.place.why}: no other host is kept out",
            help="use a directory on a file system that all hosts mount",
        )
