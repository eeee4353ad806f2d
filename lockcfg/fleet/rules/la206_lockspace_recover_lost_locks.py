"""A mount that takes lost locks again.

## What it does

Reports lockspaces on NFS mounted with `recover_lost_locks`, and images there that are locked
themselves.

## Why is this bad

After a loss of connection the client takes its locks again without asking who had them in the
meantime: two guests may then both believe they hold the disk.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {options: [addr=10.0.0.5, lookupcache=none, recover_lost_locks, rw, vers=4.2]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount it without that option.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import direct_images, each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA206", "lockspace-recover-lost-locks", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if "recover_lost_locks" in space.options:
            yield Observation(
                f"{space.setting}: {space.path} is mounted with recover_lost_locks: a lock that was"
                " lost, and granted to another host, is taken again",
                help="mount it without that option",
            )
    for storage in direct_images(cell):
        if "recover_lost_locks" in storage.options:
            yield Observation(
                f"images in {storage.path} are locked themselves, on a mount with"
                " recover_lost_locks: a lock that was lost, and granted to another host, is taken"
                " again",
                help="mount it without that option",
            )
