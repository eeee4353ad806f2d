"""Nobody said which hosts share storage.

## What it does

Tells that there is no policy, so that groups of hosts were inferred from the shared file systems
that their guests' disks are on.

## Why is this bad

Hosts that could reach the same storage and have no guests on it yet are not seen to share it, nor
are those that share block devices alone.

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

None: `lockcfg audit --write-policy fleet.yaml` makes a first policy from what is there.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.fleet import Fleet

RULE = Rule("LA504", "no-policy", "info", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    if fleet.policy is None and fleet.cells:
        yield Observation(
            "there is no policy: who shares storage was inferred from the mounts of the disks",
            help="'lockcfg audit --write-policy fleet.yaml' makes a first one",
        )
