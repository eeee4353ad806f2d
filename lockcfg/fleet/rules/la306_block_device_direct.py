"""Block devices that are locked on their device nodes.

## What it does

Reports hosts whose guests have block devices that are locked directly, as no lockspace directory
applies.

## Why is this bad

A device node is a file of one host. Guests of other hosts that reach the same volume are not kept
out.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu-lockd.conf: ''
  spaces: []
  guests: [{name: db, disks: [/dev/sdb]}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: set `file_lockspace_dir`, and for volumes `lvm_lockspace_dir` or `scsi_lockspace_dir`.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA306", "block-device-direct", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if any(use.rule == "direct" and use.kind in ("block", "lvm", "scsi") for use in cell.uses):
        yield Observation(
            "block devices are locked on their device nodes, which no other host sees",
            help="set lockspace directories for them",
            cause="file_lockspace_dir",
        )
