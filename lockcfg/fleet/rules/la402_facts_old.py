"""Facts that are too old to judge by.

## What it does

Reports hosts whose snapshot is older than the limit: 24 hours, or what the policy or `--max-age`
says.

## Why is this bad

Mounts, daemons and guests may have changed since. Such a host counts as unknown.

## Example

```yaml fleet
kvm01: {}
kvm02:
  age-hours: 72
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: collect it again.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA402", "facts-old", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    hours = fleet.max_age // 3600
    if fleet.old:
        yield Observation(
            f"the facts are older than {hours} hours: the present state is unknown",
            hosts=fleet.old,
            help="collect them again",
            unknown=True,
        )
