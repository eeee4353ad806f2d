"""A lock that did not do what a lock does.

## What it does

Reports lockspaces in which a scratch lock of the collector failed, or did not keep a second
process out. For directories of images that are locked themselves, it reports the second case only.

## Why is this bad

The lock daemon takes its locks in the same way.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {probe: {outcome: grants}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: something is wrong with the file system.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import DENIED, direct_images, each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA212", "lockspace-probe", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        known = space.probe_error in DENIED or "ro" in space.options
        if space.probe == "grants":
            message = "a lock there kept no process out, not even on the same host"
        elif space.probe == "fails" and not known:
            message = f"a lock there could not be tried: {space.step} failed: {space.probe_error}"
        else:
            continue
        yield Observation(f"{space.setting}: {space.path}: {message}")
    for storage in direct_images(cell):
        if storage.probe == "grants":
            yield Observation(
                f"images in {storage.path} are locked themselves: a lock there kept no process out,"
                " not even on the same host"
            )
