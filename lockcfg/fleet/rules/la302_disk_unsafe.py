"""A real disk that two hosts would let two guests write.

## What it does

Looks at each disk that guests on several hosts have, whatever its path there, and asks the model
what each host locks for it. Two hosts that lock different things, or one of which locks nothing,
do not exclude each other.

## Why is this bad

If the guest is started on the second host as well, this disk is destroyed.

## Example

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: false, disks: [/srv/images/web.qcow2]}]
  qemu.conf: ''
```

## Use instead

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: false, disks: [/srv/images/web.qcow2]}]
```

## Fix

None: the chain of reasons says what differs.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA302", "disk-unsafe", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for disk in fleet.disks:
        if disk.safe == "no" and disk.cause not in ("paths", "network"):
            where = "one host" if len(set(disk.pair)) == 1 else "two hosts"
            yield Observation(
                f"{disk.name}: {where} would let two guests write it",
                hosts=disk.apart,
                reasons=disk.reasons,
            )
