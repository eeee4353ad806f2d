"""A clock that is ahead.

## What it does

Reports hosts whose snapshot is from the future, by more than five minutes.

## Why is this bad

How old its facts are is unknown, and so is what is newer than what. Leases of NFS and of others
rely on clocks too.

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
