"""A host that the policy names and nobody saw.

## What it does

Reports hosts of the policy of which there is no snapshot. Only hosts that are named, alone or by a
range, can be missed; a glob names nobody.

## Why is this bad

Of that host nothing is known.

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

    from lockcfg.fleet.fleet import Fleet

RULE = Rule("LA403", "host-missing", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    if fleet.missing:
        yield Observation(
            "the policy names hosts of which there is no snapshot",
            hosts=fleet.missing,
            help="collect them, or take them out of the policy",
            unknown=True,
        )
