"""Whether the locks of running guests are held is not known.

## What it does

Reports hosts on which guests run whose locks the collector could not look at.

## Why is this bad

The files say what libvirt locks for the next guest that starts. A running guest has the lock that
was taken when it started, or none.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks: [{path: /srv/images/db, lock: null}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: collect the snapshot again, as root, with this release's collector.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA110", "lock-not-known", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if any(use.held == "unknown" for use in cell.uses):
        yield Observation(
            "guests run, and it is unknown whether the locks of their disks are held",
            help="collect it again, as root, with 'lockcfg collect' of this release",
            unknown=True,
        )
