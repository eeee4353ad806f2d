"""A lockspace that only this host has.

## What it does

Reports lockspace directories on a file system that no other host has.

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

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA202", "lockspace-local", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if space.place.local and space.type:
            yield Observation(
                f"{space.setting}: {space.path} is on {space.place.why}: guests of other hosts are"
                " not kept out",
                help="use a directory on a file system that all hosts mount",
                cause=space.setting,
            )
