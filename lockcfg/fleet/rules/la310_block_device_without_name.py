"""A block device that has no name which holds between hosts.

## What it does

Reports guests' block devices without an identity in the snapshot: no UUID of a logical volume, no
world-wide name, nothing that another host would see as well. So it is with NBD and volumes of ZFS.

## Why is this bad

Whether another host has the same device by another name is unknown, so it is not known
whether two guests can write it.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks: [{path: /dev/rbd0}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks: [{path: /dev/sdb, wwid: naa.5000c50015ea71ad}]
```

## Fix

None: use a device with a world-wide name, or collect the snapshot again, as root.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA310", "block-device-without-name", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if any(not use.named and use.kind != "network" and not use.readonly for use in cell.uses):
        yield Observation(
            "guests have block devices without a name that holds between hosts: it is unknown"
            " which other hosts have them",
            help="compare 'lsblk --output NAME,WWN,SERIAL,UUID' of the hosts ('rbd device list' for"
            " RBD, 'zfs get guid' for ZFS, 'drbdsetup show' for DRBD, 'dmsetup table' for"
            " device-mapper, the process that 'cat /sys/block/nbd*/pid' names for NBD), use devices"
            " with a world-wide name, or waive this for devices of one host alone",
            unknown=True,
        )
