"""A setting that the host's libvirt does not know.

## What it does

Reports settings that a later libvirt introduced than the host's.

## Why is this bad

libvirt ignores a setting that it does not know, without a message. In a fleet with several
releases, one file then has two meanings.

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

None: install a newer libvirt, or remove the setting.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA106", "unknown-to-version", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for file, key, since in cell.facts.ignored:
        yield Observation(
            f"'{key}' in {file} came with libvirt {since}: {cell.facts.libvirt} ignores it",
            cause=key,
        )
