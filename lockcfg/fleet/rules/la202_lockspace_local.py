"""A lockspace that only this host has.

## What it does

Reports lockspace directories on a file system that no other host has. The server of what other
hosts mount has them, too, if its snapshot and theirs show that it is one file system.

## Why is this bad

The locks keep the guests of this host apart, and no guest of another host. It does not help if all
hosts are configured this way.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {type: ext4, source: /dev/sda2, point: /, options: [rw]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: use a directory on a file system that all hosts mount.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA202", "lockspace-local", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    shared = {
        space.place for cell in fleet.cells for space in cell.facts.spaces if space.place.system
    }
    for cell in fleet.cells:
        for space in each_space(cell):
            place = space.place
            # The host may be the server of what others mount: their locks are there, too.
            if place.local and space.type and not any(map(place.same, shared)):
                yield Observation(
                    f"{space.setting}: {space.path} is on {place.why}: guests of other hosts are"
                    " not kept out",
                    hosts=cell.hosts,
                    group=cell.group,
                    help="use a directory on a file system that all hosts mount",
                    cause=space.setting,
                )
