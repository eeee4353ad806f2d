"""A host that the policy names and that has no snapshot.

## What it does

Reports hosts of the policy without a snapshot. Only hosts that the policy names, alone
or by a range, can be missing. A glob names no host, but the rule reports a glob that matches none.

## Why is this bad

Nothing is known about that host.

## Example

```yaml fleet
kvm01: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm[01-02]']}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm[01-02]']}
```

## Fix

None: collect it, or take it out of the policy.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA403", "host-missing", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        if group.policy is not None and not group.cells and not group.policy.hosts.named:
            patterns = ", ".join(group.policy.hosts.patterns)
            yield Observation(
                f"no host is in this group of the policy, whose hosts are {patterns}",
                hosts=[],
                group=group.name,
                help="look at the names and globs of the group",
                unknown=True,
            )
    if fleet.missing:
        yield Observation(
            "the policy names hosts without a snapshot",
            hosts=fleet.missing,
            help="collect them, or take them out of the policy",
            unknown=True,
        )
