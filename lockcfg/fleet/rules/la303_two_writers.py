"""Two running guests on one disk.

## What it does

Reports disks that two running guests had when the snapshots were taken, except for those that all
of them share on purpose (`<shareable/>`) or only read.

## Why is this bad

Unless the guest was moved between the two snapshots, the disk is being destroyed.

## Example

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: true, disks: [/srv/images/web.qcow2]}]
```

## Use instead

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: false, disks: [/srv/images/web.qcow2]}]
```

## Fix

None: stop one of them now, and do not start it before the disk was checked.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA303", "two-writers", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for disk in fleet.disks:
        if disk.written and disk.kind != "network":
            running = [f"{user.guest} on {user.host}" for user in disk.users if user.running]
            yield Observation(
                f"{disk.name} is in use by two running guests",
                hosts=disk.hosts,
                reasons=running,
                help="unless the guest was moved just then, stop one and check the disk",
            )
