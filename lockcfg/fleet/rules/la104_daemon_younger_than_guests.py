"""A lock daemon that was started after guests.

## What it does

Reports hosts whose lock daemon was started later than a guest that runs there. A reload (SIGUSR1)
keeps the process and its time of start.

## Why is this bad

The earlier daemon held the guests' locks, and the new one does not know them: the guests run
unprotected.

## Example

```yaml fleet
kvm01: {}
kvm02:
  daemons: {virtlockd: 1}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: restart the guests, or move them away and back; and reload the lock daemon instead of
restarting it.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA104", "daemon-younger-than-guests", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    # A daemon that took over from another one has its locks, so the locks that are held count.
    if cell.about("late") and any(use.held in ("unknown", "none") for use in cell.uses):
        yield Observation(
            "the lock daemon was started after guests that run: it holds no locks for them",
            help="move these guests away and back, or restart them; a reload keeps the locks",
        )
