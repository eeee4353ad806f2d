"""Disks that no lock covers.

## What it does

Tells, as information, of hosts whose guests have disks that take no lock: network disks, read-only
disks, and the images below the top one. A volume of a storage pool that the collector could not
find is a warning: it may be any of these, or none.

## Why is this bad

lockd was not made for them: network storage has locks of its own or none, and what is read-only
does no harm until it is written elsewhere.

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

None: know it.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Cell

RULE = Rule("LA307", "disk-not-covered", "info", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if not cell.facts.locks_disks:
        return
    others = {use.type for use in cell.uses if use.kind == "network"}
    for kind in sorted(others - {"file", "block", "dir", "volume"}):  # these have no path at all
        what = "network disks" if kind == "network" else f"disks of the type {kind}"
        yield Observation(f"guests have {what}, which lockd does not lock")
    if "volume" in others:
        yield Observation(
            "guests have volumes of storage pools, and where these are is not known: nor is whether"
            " they are locked",
            severity="warning",
            help="name these disks by their paths, or see what kind of pool it is",
            unknown=True,
        )
    if any(use.readonly for use in cell.uses):
        yield Observation("guests have read-only disks, which lockd does not lock")
    if any(use.layers for use in cell.uses):
        yield Observation("of images in layers only the top one is locked")
