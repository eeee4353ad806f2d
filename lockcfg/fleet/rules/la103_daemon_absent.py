"""Guests run, and a daemon that they need does not.

## What it does

Reports hosts on which guests run, but no lock daemon or no daemon of libvirt's driver.

## Why is this bad

When the lock daemon ends, its locks are gone at once, without a message, and the guests continue
to write.

## Example

```yaml fleet
kvm01: {}
kvm02:
  daemons: {virtlockd: null}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: a lock daemon that is started now does not get the locks back. Guests must be restarted,
or moved away.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA103", "daemon-absent", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for (name,) in cell.about("absent"):
        if name == "virtlockd":
            message = "guests run and no lock daemon does: their locks are gone"
            advice = "start it, then move the guests away and back, or restart them"
        else:
            message = "guests run and libvirt's daemon does not"
            advice = "start it; until then you cannot manage them"
        yield Observation(message, help=advice)
