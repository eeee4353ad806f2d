"""A lockspace that is read-only.

## What it does

Reports lockspaces on a mount that is read-only.

## Why is this bad

No lock file can be made there: no guest with such a disk can be started.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {options: [addr=10.0.0.5, lookupcache=none, ro, vers=4.2]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount it writable.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA208", "lockspace-read-only", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if "ro" in space.options:
            yield Observation(
                f"{space.setting}: {space.path} is mounted read-only: no guest can be started",
                help="mount it writable",
            )
