"""A real disk of which it is unknown whether two guests can write it.

## What it does

Reports disks that guests on several hosts have, if it is unknown whether the hosts exclude
each other.

## Why is this bad

A disk counts as safe only if it is known to be safe.

## Example

```yaml fleet
kvm01:
  guests: [{name: web, disks: [/srv/images/web.qcow2]}]
  lockspace: {mount: {type: fuse.mfs, source: 'mfs:9421', options: [rw]}}
kvm02:
  guests: [{name: web, running: false, disks: [/srv/images/web.qcow2]}]
  lockspace: {mount: {type: fuse.mfs, source: 'mfs:9421', options: [rw]}}
```

## Use instead

```yaml fleet
kvm01: {guests: [{name: web, disks: [/srv/images/web.qcow2]}]}
kvm02:
  guests: [{name: web, running: false, disks: [/srv/images/web.qcow2]}]
```

## Fix

None: find out what is missing, by the chain of reasons.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import probe_of
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA309", "disk-uncertain", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for disk in fleet.disks:
        # Other rules report a lock that is not known to be held.
        if disk.safe == "unknown" and disk.cause not in ("network", "held"):
            yield Observation(
                f"{disk.name}: it is unknown whether its hosts exclude each other",
                hosts=disk.apart,
                reasons=disk.reasons,
                help=probe_of(disk.apart),
                unknown=True,
            )
