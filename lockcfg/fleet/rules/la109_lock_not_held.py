"""A guest runs, and the lock of its disk is not held.

## What it does

Compares the lock that the configuration means for each disk of a running guest with what the lock
daemon holds. The collector asks lockd, or reads the locks of virtlockd from /proc.

## Why is this bad

Nothing keeps another host from the disk, whatever the files say. This happens to guests that were
started before the lock manager was switched on or the lockspace was set, when a lock was lost,
when another daemon took over, or when the lock file was replaced. A restart of libvirt's daemon
does not lock the disks of guests that run.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks: [{path: /srv/images/db, lock: /srv/old}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: db
      disks: [{path: /srv/images/db, lock: /srv/locks/files}]
```

## Fix

None: move the guest away and back, or stop it and start it.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA109", "lock-not-held", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for held, message in _MESSAGES.items():
        if any(use.held == held for use in cell.uses):
            yield Observation(message, help="move the guests away and back, or restart them")


_MESSAGES = {
    "none": "the lock daemon holds no lock for disks of guests that run: they were started before"
    " locking was in force, or the locks were lost",
    "elsewhere": "guests run under other locks than the configuration means: they were started"
    " before it was changed",
    "replaced": "the lock daemon holds locks on files that are not there any longer: another"
    " daemon gets the lock on the file that took their place",
}
