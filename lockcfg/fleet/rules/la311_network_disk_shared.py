"""A network disk that two guests have.

## What it does

Reports network disks (RBD, iSCSI, NBD …) that two running guests have. libvirt takes no lock for
them.

## Why is this bad

libvirt does not keep the second guest from writing the disk. If the guests do not run at
once, it is not known whether the storage itself would keep them apart.

## Example

```yaml fleet
kvm01:
  guests: [{name: db, disks: [{type: network, path: 'rbd:vm/db'}]}]
kvm02:
  guests: [{name: db, disks: [{type: network, path: 'rbd:vm/db'}]}]
```

## Use instead

```yaml fleet
kvm01:
  guests: [{name: db, disks: [{type: network, path: 'rbd:vm/db'}]}]
kvm02: {}
```

## Fix

None: let one guest alone have it, or map it to a block device, which lockd does lock.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA311", "network-disk-shared", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for disk in fleet.disks:
        if disk.cause != "network":
            continue
        name = disk.name.partition(":")[2]
        if disk.written:
            yield Observation(
                f"{name}: two running guests have this network disk, which libvirt does not lock",
                hosts=disk.apart,
                reasons=[f"{user.guest} on {user.host}" for user in disk.users if user.running],
                help="unless the guest was moved just then, stop one and check the disk",
            )
        else:
            yield Observation(
                f"{name}: several guests have this network disk, which libvirt does not lock",
                hosts=disk.apart,
                severity="warning",
                help="let one guest alone have it, or waive this if the storage keeps them apart",
                unknown=True,
            )
