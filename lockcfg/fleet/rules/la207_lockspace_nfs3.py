"""A lockspace on NFSv3.

## What it does

Reports lockspaces on NFSv3, and images there that are locked themselves.

## Why is this bad

The locks of a crashed host stay until its lock manager comes back or a person frees them by hand:
guests cannot be started elsewhere. NFSv4 frees them after a lease time.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {type: nfs, options: [addr=10.0.0.5, lookupcache=none, rw, vers=3]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount it with NFSv4, on all hosts.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import direct_images, each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA207", "lockspace-nfs3", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if space.type == "nfs" and space.place.carries == "yes":
            yield Observation(
                f"{space.setting}: {space.path} is on NFSv3: the locks of a host that crashed stay",
                help="mount it with NFSv4",
            )
    for storage in direct_images(cell):
        if storage.type == "nfs" and storage.place.carries == "yes":
            yield Observation(
                f"images in {storage.path} are locked themselves, on NFSv3: the locks of a"
                " host that crashed stay",
                help="mount it with NFSv4",
            )
