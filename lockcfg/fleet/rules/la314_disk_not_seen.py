"""A disk that the collector could not look at.

## What it does

Reports guests' disks whose file or device the collector could not look at, and directories of
images on a file system that it could not name, such as below an automount.

## Why is this bad

The place of the disk and its other users are unknown.

## Example

```yaml fleet
kvm01: {}
kvm02:
  images: {mount: null}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount what is missing and collect the snapshot again, as root.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA314", "disk-not-seen", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if not cell.facts.live:
        return  # LA407: only the files of the host are known
    disks = [use for use in cell.uses if use.kind != "network" and not use.readonly]
    if any(not use.looked for use in disks):
        yield Observation(
            "the collector could not look at disks of guests: their other users are unknown",
            help="mount the missing file systems, and collect the snapshot again, as root",
            unknown=True,
        )
    used = {use.storage for use in disks if use.kind == "image"}
    for storage in cell.facts.storages:
        place = storage.place
        if (
            storage.path in used
            and not place.system
            and not place.local
            and storage.state != "error"
        ):
            yield Observation(
                f"images in {storage.path} are on {place.why}: their other users are unknown",
                help="mount the missing file systems, and collect the snapshot again, as root",
                unknown=True,
            )
