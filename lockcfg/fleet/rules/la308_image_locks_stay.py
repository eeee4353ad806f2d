"""Images are locked where no other host sees it.

## What it does

Reports hosts that lock images directly, on a shared file system that keeps locks to the host.

## Why is this bad

Other hosts can reach the images, but not the locks on them.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu-lockd.conf: ''
  spaces: []
  images: {mount: {type: nfs, options: [addr=10.0.0.5, nolock, rw, vers=3]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount it without that option, or lock in a lockspace directory.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import direct_images
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA308", "image-locks-stay", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for storage in direct_images(cell):
        if storage.place.carries == "no" and not storage.place.local:
            yield Observation(
                f"images in {storage.path} are locked themselves, on {storage.place.why}",
                help="mount it without that option, or set file_lockspace_dir",
            )
