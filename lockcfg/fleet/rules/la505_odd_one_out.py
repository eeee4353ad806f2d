"""A host unlike most of its group.

## What it does

Lists settings in which a few hosts differ from at least 80 % of their group, in groups of five
hosts or more.

## Why is this bad

The majority is not always right: this is a hint where to look.

## Example

```yaml fleet
kvm01: {}
kvm02: {}
kvm03: {}
kvm04: {}
kvm05: {}
kvm06: {virtlockd.conf: 'max_clients = 512'}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
kvm03: {}
kvm04: {}
kvm05: {}
kvm06: {}
```

## Fix

None: the others may be the ones that are wrong.
"""

from __future__ import annotations

from lockcfg.fleet.comparison.matrix import odd_settings
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA505", "odd-one-out", "info", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        for key, value, hosts, usual, total in odd_settings(group):
            setting, _, on = key.partition(" ")
            on += " " if on else ""
            yield Observation(
                f"{setting} is {on}{value} here, and {on}{usual} on most of the"
                f" {total} hosts of the group",
                hosts=hosts,
                group=group.name,
            )
