"""One disk, two paths, two locks.

## What it does

Reports disks for which two guests take different locks because the lock is named by the path, and
the paths are two: a link, a doubled slash, `/dev/sdb` and `/dev/disk/by-path/…`.

## Why is this bad

libvirt hashes the path as the guest spells it. Different spellings of one disk are different
locks, and both guests get theirs.

## Example

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: false, disks: [{path: /srv/images//web.qcow2,
    resolved: /srv/images/web.qcow2}]}]
```

## Use instead

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: false, disks: [/srv/images/web.qcow2]}]
```

## Fix

None: name a disk by the same path everywhere, or lock volumes by UUID or SCSI id.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA304", "disk-by-two-paths", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for disk in fleet.disks:
        if disk.safe == "no" and disk.cause == "paths":
            yield Observation(
                f"{disk.name} is locked by its path, and guests name it by two paths",
                hosts=disk.apart,
                reasons=disk.reasons,
                help="use one path for it everywhere",
            )
