"""A host that locks nothing.

## What it does

Reports hosts whose libvirt takes no locks: the driver's file sets no lock manager, or it sets
lockd, and lockd neither locks disks by itself nor refuses guests without leases.

## Why is this bad

A guest of such a host writes its disks even if another guest does. The protection of a disk is that
of the least protected host that can reach it.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu.conf: |
    # lock_manager = "lockd"
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: see `lockcfg enable`, and `lockcfg plan` for the order in a fleet.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA101", "unprotected", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    locking = cell.facts.locking
    if cell.facts.refused:
        return  # LA102: no guest starts there, and the meaning of the file is unknown
    if locking.manager == "nop":
        message = "no lock manager is in use: disks are not protected"
    elif (
        (locking.manager == "lockd" or cell.facts.sanlock is not None)
        and not locking.auto
        and not locking.require
    ):
        message = f"{locking.manager} locks only what <lease> names, and starts guests without any"
    else:
        return
    yield Observation(
        message,
        help="say 'lockcfg enable' there, in the order of 'lockcfg plan'",
        cause="lock_manager",
    )
