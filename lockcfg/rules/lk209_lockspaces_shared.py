"""Two lockspaces in one directory.

## What it does

Reports two of `file_lockspace_dir`, `lvm_lockspace_dir` and `scsi_lockspace_dir` that name the
same directory, or one inside another. Only directories that are in use are looked at (see LK203
and LK204).

## Why is this bad

The disks are still locked, because the names in the three differ. But you cannot tell whether a
lock file belongs to the hash of a path, a logical volume or a SCSI volume. And a lockspace inside
another looks like one of its lock files, and may be cleaned up with them.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks"
lvm_lockspace_dir = "/srv/locks/lvm"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
lvm_lockspace_dir = "/srv/locks/lvm"
```

## Fix

None: only you know which directories all hosts share.
"""

from __future__ import annotations

from lockcfg.rules.lockspaces import lockspaces_in_use, relation
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.lockspaces import LockspaceSetting
    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK209", "lockspaces-shared", "info", scope="host", needs=("driver", "lockd"))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    before: list[LockspaceSetting] = []
    for lockspace in lockspaces_in_use(subject.configuration):
        for other in before:
            how = relation(lockspace.directory, other.directory)
            if how is None:
                continue
            what = {
                "same": f"{lockspace.key} names the same directory as {other.key}",
                "inside": f"{lockspace.key} is inside {other.key}",
                "around": f"{other.key} is inside {lockspace.key}",
            }[how]
            yield RuleFinding(
                lockspace.finding(
                    RULE,
                    f"{what}: what a lock file there belongs to is unclear",
                    help="give each of them a directory of its own, next to the others",
                )
            )
            break
        before.append(lockspace)
