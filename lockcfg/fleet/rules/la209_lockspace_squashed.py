"""A lockspace in which root may not write.

## What it does

Reports lockspaces in which the collector, as root, was not permitted to make or open a file: the
export squashes root, or a label keeps it out.

## Why is this bad

The lock daemon is root, and its lock files are its own with mode 0600. It cannot make them, or not
those of another host, and guests do not start.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {probe: {outcome: fails, step: create, error: Permission denied}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: export it with `no_root_squash`, or let the daemon's label write there.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import DENIED, each_space, was_root
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA209", "lockspace-squashed", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for space in each_space(cell):
        if space.probe == "fails" and space.probe_error in DENIED and was_root(cell):
            yield Observation(
                f"{space.setting}: root may not write in {space.path} ({space.probe_error}): lock"
                " files cannot be made there",
                help="export it with no_root_squash, and look at SELinux",
            )
