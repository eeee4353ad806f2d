"""A waiver of nothing.

## What it does

Lists waivers of the policy that cover no finding.

## Why is this bad

Such a waiver hides the next finding before you have seen it.

## Example

```yaml fleet
kvm01: {}
```

```yaml policy
waivers:
  - {rule: LA101, hosts: ['kvm02'], reason: lab}
```

## Use instead

```yaml fleet
kvm01: {}
```

## Fix

None: take it out.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA503", "waiver-unneeded", "info", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for waiver in fleet.unneeded:
        patterns = ", ".join(waiver.hosts.patterns)
        yield Observation(f"the waiver of {waiver.rule} for {patterns} covers nothing")
