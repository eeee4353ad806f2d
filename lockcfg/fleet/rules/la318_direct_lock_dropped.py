"""A disk on GlusterFS that is locked again soon after its release.

## What it does

Reports hosts on which virtlockd locks images themselves, without a lockspace directory, on
GlusterFS.

## Why is this bad

virtlockd releases such a lock by closing the image. GlusterFS answers that at once, and tells its
server later (`performance.flush-behind`, which is on by default). If virtlockd has locked the image
again by then, as for a guest that is resumed or restarted, the server drops the new lock: a lock
belongs to the process, and to it both are one. The guest runs, nothing says that its lock is gone,
and another host is granted the disk. Two real lock daemons did so in 6 of 3,656 hand-overs. So such
hosts are not called safe. With `performance.flush-behind off` it was not seen; no host can tell how
that is set.

Hosts on which `lockd` runs are not reported: each of its locks has an owner of its own, and it
unlocks before it closes.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu-lockd.conf: ''
  spaces: []
  images: {mount: {type: fuse.glusterfs, source: 'g1:/vms', options: [rw]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
kvm03:
  qemu-lockd.conf: ''
  spaces: []
  images: {mount: {type: fuse.glusterfs, source: 'g1:/vms', options: [rw]}}
  daemons: {virtlockd: null, lockd: 30}
```

## Fix

None: set `file_lockspace_dir` on all hosts, as virtlockd makes a new lock file for each lock there.
Or run `lockd` on all hosts.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import direct_images
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA318", "direct-lock-dropped", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if cell.runs_lockd:
        return
    for storage in direct_images(cell):
        if storage.type == "fuse.glusterfs":
            yield Observation(
                f"images in {storage.path} are locked themselves, on GlusterFS: it may drop the"
                " lock of a guest that is resumed or restarted",
                help="set file_lockspace_dir, or run lockd",
                unknown=True,
            )
