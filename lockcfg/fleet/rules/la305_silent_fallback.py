"""A look-up that fails without a message.

## What it does

Reports hosts on which a block device is not locked by the name that the configuration asks for
(LVM UUID, SCSI id), because the look-up gave no answer: the program is missing, or the device has
no such name.

## Why is this bad

libvirt continues with the next rule, without a message. A host on which the look-up works locks
something else for the same volume.

## Example

```yaml fleet
kvm01: {}
kvm02:
  tools: {lvs: false}
  guests: [{name: db, disks: [/dev/vg0/db]}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: install `lvm2`, or udev's `scsi_id` in `/lib/udev`.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA305", "silent-fallback", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for setting, program, package, there in (
        ("lvm_lockspace_dir", "lvs", "lvm2", cell.facts.lvs),
        ("scsi_lockspace_dir", "scsi_id", "udev", cell.facts.scsi_id),
    ):
        if setting not in cell.facts.locking.spaces:
            continue
        fallen = [use for use in cell.uses if use.fallback == setting]
        devices = any(use.kind not in ("network", "image") for use in cell.uses)
        if there is False and devices:
            yield Observation(
                f"{program} is missing, so {setting} has no effect: block devices are locked by"
                " other names than on hosts that have it",
                help=f"install {package}",
                cause=setting,
            )
        elif there and fallen and all(use.rule in ("path", "direct") for use in fallen):
            yield Observation(
                f"{program} gives no name for some block devices: they are not locked by"
                f" {setting} but by their paths",
                severity="info",
            )
