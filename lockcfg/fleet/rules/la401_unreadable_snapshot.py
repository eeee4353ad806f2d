"""A snapshot that cannot be read.

## What it does

Reports files that should be snapshots and cannot be read: cut off, not JSON, of a newer version,
too large. The audit continues with the others.

## Why is this bad

Nothing is known about that host, and an audit that leaves a host out must not call the fleet safe.

## Example

```yaml fleet
kvm01: {}
kvm02: {host: {name: ''}}
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

RULE = Rule("LA401", "unreadable-snapshot", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for problem in fleet.problems:
        about = f"the snapshot of {problem.host}" if problem.host else "a snapshot"
        yield Observation(
            f"{problem.source}: {about} {problem.reason}",
            hosts=[problem.host] if problem.host else [],
            help="collect it again",
            unknown=True,
        )
