"""Guests whose `<on_lockfailure>` has no effect.

## What it does

Reports guests of the system's libvirt that say in `<on_lockfailure>` what happens when they lose a
lock (`poweroff`, `restart` or `pause`), on hosts whose lock manager is lockd and where virtlockd is
not known to be replaced by the engine lockd.

## Why is this bad

libvirt's lock plugin ignores `<on_lockfailure>`, and virtlockd never notices that a lock is lost.
Such a guest continues to write when its lock has gone to another host.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: test
      on_lockfailure: pause
      disks: [/srv/images/test]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02:
  daemons: {virtlockd: null, lockd: 30}
  guests:
    - name: test
      on_lockfailure: pause
      disks: [/srv/images/test]
```

## Fix

None: put lockd in the place of virtlockd, which obeys `<on_lockfailure>`.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA114", "lockfailure-ignored", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if cell.facts.locking.manager != "lockd" or cell.runs_lockd:
        return
    for (guests,) in cell.about("lockfailure"):
        yield Observation(
            f"<on_lockfailure> of the guests {guests} has no effect: virtlockd never notices a lost"
            " lock, and libvirt ignores it",
            help="put lockd in the place of virtlockd ('lockd takeover' keeps all guests running)",
        )
