"""One guest that runs on two hosts.

## What it does

Reports guests whose UUID runs on two hosts at once.

## Why is this bad

It is one guest that runs twice: both write the same disks, whatever the hosts call them.

## Example

```yaml fleet
kvm01:
  guests: [{name: db, disks: [{path: /dev/sdb, wwid: naa.1}]}]
kvm02:
  guests: [{name: db, disks: [{path: /dev/sdc, wwid: naa.2}]}]
```

## Use instead

```yaml fleet
kvm01:
  guests: [{name: db, disks: [{path: /dev/sdb, wwid: naa.1}]}]
kvm02:
  guests: [{name: db, disks: [{path: /dev/sdb, wwid: naa.1}], running: false}]
```

## Fix

None: unless it was moved just then, stop one of them and check the disks.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA312", "guest-runs-twice", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for guest, hosts in fleet.guests_twice:
        yield Observation(
            f"the guest '{guest}' runs on {len(hosts)} hosts at once, by its UUID",
            hosts=hosts,
            help="unless it was moved just then, stop one and check the disks",
        )
