"""No policy says which hosts share storage.

## What it does

Reports that there is no policy, or one without groups. The audit then infers groups of hosts from
what their guests' disks are on: one file system, or one block device, which the UUID of a logical
volume or the id of a SCSI volume tells.

## Why is this bad

The audit does not see that hosts share storage if they have no guests on it yet.

## Example

```yaml fleet
kvm01: {}
```

## Use instead

```yaml fleet
kvm01: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm*']}
```

## Fix

None: `lockcfg audit --write-policy fleet.yaml` makes a first policy from the present state.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA504", "no-policy", "info", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    if fleet.cells and (fleet.policy is None or not fleet.policy.groups):
        what = "no policy" if fleet.policy is None else "no group in the policy"
        yield Observation(
            f"there is {what}: who shares storage was inferred from the file systems and block"
            " devices that guests' disks are on",
            help="'lockcfg audit --write-policy fleet.yaml' makes a first policy",
        )
