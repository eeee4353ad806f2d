"""Names are cached where lock files come and go.

## What it does

Reports lockspaces on NFS without `lookupcache=none` or `actimeo=0` (or `noac`), and on GlusterFS
whose client was not started with `--entry-timeout=0 --attribute-timeout=0`.

## Why is this bad

virtlockd removes a lock file at the release and makes a new one for the next. A client that
remembers the old name locks a file that is no longer there, while another host locks the new
one: with default options two real lock daemons were both granted one lock, in 1 to 8 of 100
hand-overs under load. So such hosts are not called safe.

Hosts on which `lockd` runs are not reported: it removes no lock file that other hosts may use, and
asks the server whether the one that it has locked is still there.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {options: [addr=10.0.0.5, rw, vers=4.2]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
kvm03:
  lockspace: {mount: {options: [addr=10.0.0.5, rw, vers=4.2]}}
  daemons: {virtlockd: null, lockd: 30}
```

## Fix

None: mount the lockspace with `lookupcache=none`, or on GlusterFS with `entry-timeout=0` and
`attribute-timeout=0`. It holds nothing but lock files, so it costs nothing. Or run `lockd` on all
hosts.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA211", "lockspace-name-caching", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if cell.runs_lockd:
        return
    for space in each_space(cell):
        if space.type in ("nfs", "nfs4"):
            caches, advice = not _UNCACHED.intersection(space.options), "lookupcache=none"
        elif space.type == "fuse.glusterfs":
            caches = not _UNCACHED_GLUSTER.issubset(space.options)
            advice = "entry-timeout=0,attribute-timeout=0"
        else:
            continue
        if caches:
            yield Observation(
                f"{space.setting}: {space.path} is mounted with name caching: when a lock changes"
                " hands, two hosts may get it",
                help=f"mount it with {advice}",
                unknown=True,
            )


#: The kernel shows ``noac`` and ``actimeo=0`` as the four times that they set.
_UNCACHED: Final = frozenset(("lookupcache=none", "noac", "actimeo=0", "acregmax=0"))
_UNCACHED_GLUSTER: Final = frozenset(("entry-timeout=0", "attribute-timeout=0"))
