"""Lockspace directories that are not used.

## What it does

Reports lockspace directories that are set together with `auto_disk_leases = 0`. Where
`require_lease_for_disks` is 0 as well it is LK206, without lockspace directories LK205, and while
lockd is not the lock manager LK203.

## Why is this bad

While `auto_disk_leases` is 0, libvirt neither uses the directories nor makes them, and refuses to
start a guest that has writable disks and no `<lease>`. The 0 is what libvirt's sample shows, and
is not the default.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
auto_disk_leases = 0
file_lockspace_dir = "/srv/locks/files"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
auto_disk_leases = 1
file_lockspace_dir = "/srv/locks/files"
```

## Fix

Unsafe: sets `auto_disk_leases = 1`, with which every disk is locked, in the directories that are
set.
"""

from __future__ import annotations

from lockcfg.host.host import LOCKSPACE_KEYS
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule(
    "LK204", "dead-lockspace", "warning", scope="host", fix="unsafe", needs=("driver", "lockd")
)


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    if configuration.lock_manager != "lockd" or not configuration.require_lease_for_disks:
        return
    lockd = configuration.documents["lockd"]
    entry = lockd.get("auto_disk_leases")
    dead = [key for key in LOCKSPACE_KEYS if configuration.lockspace(key) is not None]
    if configuration.auto_disk_leases or entry is None or not dead:
        return
    verb = "is" if len(dead) == 1 else "are"
    yield RuleFinding(
        at_value(
            RULE,
            lockd,
            entry,
            f"{' and '.join(dead)} {verb} not used while auto_disk_leases is 0, and guests with"
            " writable disks and no <lease> do not start",
            help="set auto_disk_leases = 1, which is the default",
        ),
        Fix("unsafe", "set auto_disk_leases = 1", Replacement(entry.value_span, "1")),
    )
