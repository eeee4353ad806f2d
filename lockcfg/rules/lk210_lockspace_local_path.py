"""A lockspace where every host has its own.

## What it does

Reports a lockspace directory in `/tmp`, `/var/tmp`, `/run`, `/var/run`, `/var/lock`, `/dev`,
`/proc` or `/sys`, except for `/run/gluster`, where GlusterFS mounts its shared storage. With
sanlock, reports the directory of its leases (`disk_lease_dir`) there. Only directories that are in
use are looked at (see LK203 and LK204).

## Why is this bad

Files there belong to one host: the locks do not keep out guests on other hosts. In `/tmp` and
`/var/tmp`, files that look old are also cleaned up, and when a lock file is removed, the next
guest is granted a lock that is still held.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/run/libvirt/locks"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
```

## Fix

None: only you know which directory all hosts share.
"""

from __future__ import annotations

from lockcfg.rules.lockspaces import lock_directories_in_use, relation
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK210", "lockspace-local-path", "warning", scope="host", needs=("driver", "lockd"))

_LOCAL: Final = (
    "/tmp",  # noqa: S108
    "/var/tmp",  # noqa: S108
    "/run",
    "/var/run",
    "/var/lock",
    "/dev",
    "/proc",
    "/sys",
)

#: GlusterFS mounts this directory on all hosts of a pool (cluster.enable-shared-storage).
_SHARED: Final = ("/run/gluster", "/var/run/gluster")


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    for lockspace in lock_directories_in_use(subject.configuration):
        top = _top(lockspace.directory, _LOCAL)
        if top is None or _top(lockspace.directory, _SHARED) is not None:
            continue
        yield RuleFinding(
            lockspace.finding(
                RULE,
                f"{lockspace.key} is in {top}, which every host has for itself: guests on other"
                " hosts are not kept out",
                help="use a directory on a file system that all hosts mount",
            )
        )


def _top(directory: str, tops: tuple[str, ...]) -> str | None:
    """The one of ``tops`` that a directory is or is below."""
    return next((top for top in tops if relation(directory, top) in ("same", "inside")), None)
