"""A clock that is ahead.

## What it does

Reports hosts whose snapshot is from the future, by more than five minutes.

## Why is this bad

The age of its facts is unknown, and so is their order. Leases of NFS and of other file systems
rely on clocks, too.

## Example

```yaml fleet
kvm01: {}
kvm02:
  age-hours: -3
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: set the clock, there or here.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA405", "clock-ahead", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    if fleet.ahead:
        yield Observation(
            "the clock is ahead: the snapshot is from the future",
            hosts=fleet.ahead,
            help="look at the clocks, there and here",
            unknown=True,
        )
