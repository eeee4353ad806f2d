"""Block devices that are locked against guests of this host only.

## What it does

Reports a host with lockd that has no `file_lockspace_dir`.

## Why is this bad

A disk on a block device (`/dev/…`) is then locked on its device node, and such a lock never
reaches another host. `lvm_lockspace_dir` and `scsi_lockspace_dir` cover logical and SCSI volumes
only, and only while their UUID or id can be found out: if it cannot (no `lvs` on the host, a
disk without an id), libvirt takes the lock on the device node, without a message.

It does not matter where all disks are image files.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
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

None: only you know which directory all hosts share.
"""

from __future__ import annotations

from lockcfg.rules.rule import Rule, RuleFinding, about_file, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK207", "block-devices-direct", "info", scope="host", needs=("driver", "lockd"))

_NAMES: Final = {"lvm_lockspace_dir": "LVM UUID", "scsi_lockspace_dir": "SCSI id"}


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    lockspaces = configuration.lockspaces
    if configuration.lock_manager != "lockd" or not configuration.auto_disk_leases:
        return
    if "file_lockspace_dir" in lockspaces:
        return
    if lockspaces:
        names = " or ".join(_NAMES[key] for key in lockspaces)
        message = (
            f"a block device of which no {names} is found is locked on its device node, silently,"
            " and other hosts do not see that lock"
        )
    else:
        message = "other hosts do not see the locks on block devices: no lockspace directory is set"
    advice = (
        "if guests have block devices as disks, set file_lockspace_dir to a directory that all"
        " hosts mount"
    )
    lockd = configuration.documents["lockd"]
    if lockd.exists:
        yield RuleFinding(about_file(RULE, lockd, message, help=advice))
        return
    driver = configuration.documents["driver"]
    entry = driver.get("lock_manager")
    if entry is not None:
        yield RuleFinding(at_value(RULE, driver, entry, message, help=advice))
