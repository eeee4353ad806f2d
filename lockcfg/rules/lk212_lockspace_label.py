"""A lockspace that SELinux may keep the lock daemon out of.

## What it does

Reports a lockspace directory outside `/var/lib/libvirt/lockd` where `security_driver` names
`selinux`. Only directories that are in use are looked at (see LK203 and LK204).

The settings `user`, `group` and `dynamic_ownership` do not matter for locks: they set the user
that QEMU opens an image as, but the lock daemon opens lock files, as root.

## Why is this bad

Under SELinux the lock daemon is confined, and may make and lock files where they carry the label
`virt_var_lockd_t`. By default only `/var/lib/libvirt/lockd` has it. Elsewhere guests can fail to
start until the directory is labelled:

    semanage fcontext -a -t virt_var_lockd_t '/srv/locks(/.*)?'
    restorecon -R /srv/locks

On NFS the label comes from the mount option `context=system_u:object_r:virt_var_lockd_t:s0`, for
which the lockspaces need a mount of their own.

## Example

```conf qemu.conf
lock_manager = "lockd"
security_driver = "selinux"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
security_driver = "selinux"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/var/lib/libvirt/lockd/files"
```

## Fix

None: only you know where the shared file system is mounted.
"""

from __future__ import annotations

from lockcfg.rules.lockspaces import lockspaces_in_use, relation
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.host.host import Configuration
    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK212", "lockspace-label", "info", scope="host", needs=("driver", "lockd"))

_LABELLED: Final = "/var/lib/libvirt/lockd"


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    if not _has_selinux(subject.configuration):
        return
    for lockspace in lockspaces_in_use(subject.configuration):
        if relation(lockspace.directory, _LABELLED) in ("same", "inside"):
            continue
        yield RuleFinding(
            lockspace.finding(
                RULE,
                f"{lockspace.key} is outside {_LABELLED}: SELinux may keep the lock daemon out"
                " unless the directory is labelled for lock files",
                help="label it virt_var_lockd_t with semanage fcontext and restorecon, on NFS with"
                " the mount option context=",
            )
        )


def _has_selinux(configuration: Configuration) -> bool:
    """Whether the driver's file asks for SELinux."""
    entry = configuration.documents["driver"].get("security_driver")
    if entry is None:
        return False
    return entry.value == "selinux" or (isinstance(entry.value, tuple) and "selinux" in entry.value)
