"""A waiver whose time is over.

## What it does

Reports waivers of the policy whose last day is over and that still cover a finding, which counts
again.

## Why is this bad

The waiver's day was the date to correct it by.

## Example

```yaml fleet
kvm01: {}
kvm02: {qemu.conf: ''}
```

```yaml policy
waivers:
  - {rule: LA101, hosts: ['kvm02'], reason: lab, until: 2025-01-31}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {qemu.conf: ''}
```

```yaml policy
waivers:
  - {rule: LA101, hosts: ['kvm02'], reason: lab, until: 2035-01-31}
```

## Fix

None: correct it, or decide again.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA502", "waiver-expired", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for waiver, hosts in fleet.expired:
        yield Observation(
            f"the waiver of {waiver.rule} expired on {waiver.until} ({waiver.reason})", hosts=hosts
        )
