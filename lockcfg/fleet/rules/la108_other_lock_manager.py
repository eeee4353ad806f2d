"""A lock manager that is not judged.

## What it does

Reports hosts whose lock manager is neither lockd, nor sanlock with the file of its plugin
(`qemu-sanlock.conf`) in the snapshot.

## Why is this bad

sanlock and lockd do not see each other's locks. Whether hosts with sanlock exclude each other
depends on settings that the snapshot does not contain.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu.conf: |
    lock_manager = "sanlock"
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: all hosts that share storage must use the same lock manager.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA108", "other-lock-manager", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    manager = cell.facts.settings["lock_manager"]
    if manager not in ("nop", "lockd") and cell.facts.sanlock is None:
        yield Observation(
            f"{manager} locks the disks, which is not judged here; it does not see lockd's locks",
            unknown=True,
            cause="lock_manager",
        )
