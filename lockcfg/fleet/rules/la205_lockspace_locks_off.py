"""A mount that keeps locks to itself.

## What it does

Reports lockspaces on mounts whose options keep locks on the host: `nolock`, `local_lock=all` or
`local_lock=posix` on NFSv3, `nobrl` on CIFS. On NFSv4 these NFS options have no effect.

## Why is this bad

Everything looks right, but every host is granted every lock.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {type: nfs, options: [addr=10.0.0.5, lookupcache=none, nolock, rw, vers=3]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount it without that option, on all hosts.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA205", "lockspace-locks-off", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if space.place.carries == "no" and not space.place.local and not space.place.probed:
            yield Observation(
                f"{space.setting}: {space.path} is on {space.place.why}",
                help="mount it without that option, or use a file system that carries locks",
            )
