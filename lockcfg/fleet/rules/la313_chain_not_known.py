"""Images below the top one, of which nothing is known.

## What it does

Reports guests whose disks are images in layers, if the snapshot does not name the lower ones. A
snapshot of version 1 does not say it of guests that do not run: if a fleet has several disks, one
of them may be below such an image.

## Why is this bad

libvirt locks the top image alone. A guest elsewhere may have one of those below as its own disk,
and write it.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks: [{path: /srv/images/db, layers: 1}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks:
        - path: /srv/images/db
          layers: 1
          chain: [{type: file, path: /srv/images/base, device: '0:52', inode: 4711}]
```

## Fix

None: collect the snapshot again, as root, with this release's collector.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA313", "chain-not-known", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    untold = [use for use in cell.uses if not use.chain and not use.readonly]
    whose = [
        words
        for words, found in (
            ("have images in layers", any(use.layers for use in untold)),
            (
                "do not run and may have images in layers",
                any(not use.layers and not use.layer for use in untold),
            ),
        )
        if found
    ]
    for words in whose:
        yield Observation(
            f"guests {words}, and the images below the top one are unknown: another guest may"
            " write them",
            help="collect it again, as root, with 'lockcfg collect' of this release",
            unknown=True,
        )
