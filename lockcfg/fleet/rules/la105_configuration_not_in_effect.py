"""A file that is newer than the daemon that reads it.

## What it does

Reports files that were changed after the daemon that reads them started. A daemon reads them at
its start only.

## Why is this bad

The settings in the file are not in force yet, and the audit's conclusions from them hold for the
next start. Until then the host may lock something else, or nothing.

## Example

```yaml fleet
kvm01: {}
kvm02:
  edited: {qemu-lockd.conf: 1}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: restart libvirt's daemon, which does not touch guests. Never restart the lock daemon while
guests run.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA105", "configuration-not-in-effect", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for file, name in cell.about("stale"):
        if name == "virtlockd":
            advice = "reload it (SIGUSR1), or restart it when no guest runs there"
        else:
            advice = f"restart {name}: guests keep running"
        yield Observation(
            f"{file} was changed after {name} was started: it is not in force",
            help=advice,
            cause=file,
        )
    for (limit,) in cell.about("limit"):
        yield Observation(
            f"virtlockd.conf says max_clients = {cell.facts.settings['max_clients']}, and the lock"
            f" daemon that runs has {limit}",
            help="set it with virt-admin, which guests do not notice: see 'lockcfg plan'",
            severity="warning",
        )
