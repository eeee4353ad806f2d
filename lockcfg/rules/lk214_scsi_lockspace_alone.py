"""Logical volumes that share the lock of the disk below them.

## What it does

Reports `scsi_lockspace_dir` without `lvm_lockspace_dir`. Only directories that are in use are
looked at (see LK203 and LK204).

## Why is this bad

libvirt asks every block device for its SCSI id, and a logical volume answers with the id of the
disk that it lies on. So two guests with two volumes on one disk want the same lock, and the second
one does not start. With `lvm_lockspace_dir` a logical volume is locked by its own UUID first.

It does not matter if no guest has a logical volume as a disk.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
scsi_lockspace_dir = "/srv/locks/scsi"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
lvm_lockspace_dir = "/srv/locks/lvm"
scsi_lockspace_dir = "/srv/locks/scsi"
```

## Fix

None: only you know which directory all hosts share.
"""

from __future__ import annotations

from lockcfg.rules.lockspaces import lockspaces_in_use
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK214", "scsi-lockspace-alone", "info", scope="host", needs=("driver", "lockd"))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    in_use = {each.key: each for each in lockspaces_in_use(subject.configuration)}
    scsi = in_use.get("scsi_lockspace_dir")
    if scsi is not None and "lvm_lockspace_dir" not in in_use:
        yield RuleFinding(
            scsi.finding(
                RULE,
                "two logical volumes on one disk share one lock: without lvm_lockspace_dir a volume"
                " is locked by the SCSI id of the disk below it",
                help="if guests have logical volumes as disks, set lvm_lockspace_dir as well",
            )
        )
