"""The values that libvirt's sample shows, taken for the defaults.

## What it does

Reports `auto_disk_leases = 0` and `require_lease_for_disks = 1` together, as the commented sample
of libvirt has them. With lockspace directories it is LK204, and while lockd is not the lock
manager LK203.

## Why is this bad

The values shown in the sample are not the defaults: those are 1 and 0. With both uncommented, a
guest that has writable disks and no `<lease>` in its own configuration, as nearly every guest,
does not start. You notice it when a guest starts after the next restart of libvirt.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
auto_disk_leases = 0
require_lease_for_disks = 1
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
# auto_disk_leases = 0
# require_lease_for_disks = 1
```

## Fix

Unsafe: sets `auto_disk_leases = 1`, with which every disk is locked.
"""

from __future__ import annotations

from lockcfg.host.host import LOCKSPACE_KEYS
from lockcfg.rules.leases import leases_off, leases_off_finding
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options, RuleFinding

RULE = Rule(
    "LK205", "sample-trap", "warning", scope="host", fix="unsafe", needs=("driver", "lockd")
)


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    entry = leases_off(configuration)
    required = configuration.effective("require_lease_for_disks")
    if entry is None or required.value != 1 or required.place is None:
        return  # a user who sets only one of the two has not copied the sample
    if any(configuration.lockspace(key) is not None for key in LOCKSPACE_KEYS):
        return
    yield leases_off_finding(
        RULE,
        configuration,
        entry,
        "guests with writable disks and no <lease> do not start: auto_disk_leases = 0 with"
        " require_lease_for_disks = 1 is what libvirt's sample shows, not its defaults",
        help="take both lines out, unless every guest has <lease> elements",
    )
