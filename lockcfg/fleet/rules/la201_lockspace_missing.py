"""A lockspace directory that is not there.

## What it does

Reports lockspace directories that are set and do not exist. If one cannot be looked at, that is a
warning, and where its host locks is unknown.

## Why is this bad

libvirt makes the directory when it starts, wherever the path leads at that time: if the shared
file system is not mounted, on the host's own disk. Then no other host sees the locks.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {missing: true}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount the file system that the others have there.
"""

from __future__ import annotations

from lockcfg.fleet.model.facts import LEASE
from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA201", "lockspace-missing", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if space.state == "missing" and space.setting == LEASE:
            yield Observation(
                f"{space.setting}: {space.path} is not there: guests with a <lease> do not start",
                help="mount the shared file system there; the lease files must exist",
                cause=space.setting,
            )
        elif space.state == "missing":
            yield Observation(
                f"{space.setting}: {space.path} is not there: libvirt makes it on whatever is"
                " mounted then",
                help="mount the shared file system there before libvirt starts",
            )
        elif space.state == "error":
            yield Observation(
                f"{space.setting}: {space.path} cannot be looked at: {space.error}",
                severity="warning",
                unknown=True,
            )
