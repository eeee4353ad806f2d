"""Disks that no lock covers.

## What it does

Lists, for information, hosts whose guests have disks that take no lock: network disks, read-only
disks, and the images below the top one. A volume of a storage pool that the collector could not
find is a warning: it may be any of these, or none.

## Why is this bad

libvirt takes no locks for them: network storage has locks of its own or none, and a read-only disk
does no harm until another guest writes it.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests: [{name: vm, disks: [{type: network, path: 'rbd:vm/disk'}]}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: it is for your information.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA307", "disk-not-covered", "info", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if not cell.facts.locks_disks:
        return
    others = {use.type for use in cell.uses if use.kind == "network"}
    for kind in sorted(others - {"file", "block", "dir", "volume"}):  # such a disk has no path
        what = "network disks" if kind == "network" else f"disks of the type {kind}"
        yield Observation(f"guests have {what}, which lockd does not lock")
    if "volume" in others:
        yield Observation(
            "guests have volumes of storage pools, and it is unknown where these are and whether"
            " they are locked",
            severity="warning",
            help="name these disks by their paths, or look at the kind of the pool",
            unknown=True,
        )
    if any(use.readonly for use in cell.uses):
        yield Observation("guests have read-only disks, which lockd does not lock")
    if any(use.layers for use in cell.uses):
        yield Observation("of images in layers only the top one is locked")
