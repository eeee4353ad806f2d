"""A setting that the host's libvirt does not know.

## What it does

Reports settings that came with a later libvirt than that of the host.

## Why is this bad

libvirt ignores what it does not know, without a word. In a fleet of mixed releases one file means
two things.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu.conf: |
    lock_manager = "lockd"
    sched_core = "vcpus"
  versions: {libvirt: 8.0.0}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: another libvirt, or not this setting.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Cell

RULE = Rule("LA106", "unknown-to-version", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for file, key, since in cell.facts.ignored:
        yield Observation(
            f"'{key}' in {file} came with libvirt {since}: {cell.facts.libvirt} ignores it"
        )
