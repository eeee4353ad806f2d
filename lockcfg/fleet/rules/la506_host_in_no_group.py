"""Hosts that share storage with a group, and that the policy has in none.

## What it does

Reports hosts in no group of the policy that were seen to share storage with hosts that are in one,
by the file systems and block devices that their guests' disks are on.

## Why is this bad

They could write the disks of that group, and the audit did not compare them with it. Perhaps the
host is new, or a name in the policy is misspelt.

## Example

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm01']}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm*']}
```

## Fix

None: put them into the group of those they share storage with.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA506", "host-in-no-group", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        others = fleet.sharing.get(group.name)
        if group.name and group.inferred and others:
            names = ", ".join(f"'{name}'" for name in sorted(others))
            yield Observation(
                f"in no group of the policy, but they share storage with {names}: whether they"
                " exclude those hosts was not looked at",
                hosts=group.hosts,
                group=group.name,
                help="put them into that group of the policy",
                unknown=True,
            )
