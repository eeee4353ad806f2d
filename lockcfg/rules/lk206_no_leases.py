"""lockd is in use and locks no disk.

## What it does

Reports `auto_disk_leases = 0` together with `require_lease_for_disks = 0`. With the second left
out or 1, guests are refused instead: that is LK204 and LK205. While lockd is not the lock manager
it is LK203.

## Why is this bad

A guest without `<lease>` elements in its own configuration, as nearly every guest, starts with no
lock at all, and two of them can write one disk at the same time. The lock daemon runs and looks
like protection.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
auto_disk_leases = 0
require_lease_for_disks = 0
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
auto_disk_leases = 1
require_lease_for_disks = 0
```

## Fix

Unsafe: sets `auto_disk_leases = 1`, with which every disk is locked.
"""

from __future__ import annotations

from lockcfg.host.protection import leaves_disks
from lockcfg.rules.leases import leases_off, leases_off_finding
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options, RuleFinding

RULE = Rule("LK206", "no-leases", "error", scope="host", fix="unsafe", needs=("driver", "lockd"))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    entry = leases_off(configuration)
    if entry is None or not leaves_disks(configuration):
        return
    yield leases_off_finding(
        RULE,
        configuration,
        entry,
        "guests without a <lease> start with no lock on their disks: auto_disk_leases and"
        " require_lease_for_disks are both 0",
        help="set auto_disk_leases = 1, which is the default",
    )
