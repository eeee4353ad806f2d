"""A volume of which it is not known on which devices it is.

## What it does

Reports guests' volumes of LVM, LUKS, md, DRBD, bcache or device-mapper of which a snapshot does not
say on which devices they are, if guests have block devices of another kind, too.

## Why is this bad

A guest that writes the device below a volume writes the volume. Their names say nothing of that,
and their locks are two.

## Example

```yaml fleet
kvm01:
  guests:
    - name: db
      disks: [{path: /dev/vg/db, lvm_uuid: Yp3cWk-0d1B-4a2C-h8Qe-xN5s-1LrT-000001}]
kvm02:
  guests:
    - name: web
      disks: [{path: /dev/sdb, wwid: naa.5000c50015ea71ad}]
```

## Use instead

```yaml fleet
kvm01:
  guests:
    - name: db
      disks:
        - path: /dev/vg/db
          lvm_uuid: Yp3cWk-0d1B-4a2C-h8Qe-xN5s-1LrT-000001
          chain: [{type: block, path: /dev/sda, wwid: naa.5000c50099999999}]
kvm02:
  guests:
    - name: web
      disks: [{path: /dev/sdb, wwid: naa.5000c50015ea71ad}]
```

## Fix

None: collect the snapshot again, as root, with this release's collector. If a device below has
no name that holds between hosts, compare 'lsblk --inverse' of the hosts.
"""

from __future__ import annotations

from lockcfg.fleet.model.uses import ON_OTHERS
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet

_WORDS: Final = {
    "bcache": "bcache",
    "dm": "device-mapper",
    "drbd": "DRBD",
    "luks": "LUKS",
    "lvm": "LVM",
    "md": "md",
}

RULE = Rule("LA315", "device-below-not-known", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    written = {
        cell: [use for use in cell.uses if use.layer and not use.backing and not use.readonly]
        for cell in fleet.cells
    }
    layers = {use.layer for uses in written.values() for use in uses}
    for cell, uses in written.items():
        untold = {use.layer for use in uses if use.layer in ON_OTHERS and not use.chain}
        for layer in sorted(untold):
            # A volume is seldom on another volume of its kind, and other devices may be below any
            # volume.
            if layers - {layer}:
                yield Observation(
                    f"guests have volumes of {_WORDS[layer]}, and it is unknown on which devices"
                    " these are: they may be on one that a guest has",
                    hosts=cell.hosts,
                    help="collect it again, as root, with 'lockcfg collect' of this release, or"
                    " compare 'lsblk --inverse --output NAME,WWN' of the hosts",
                    unknown=True,
                )
