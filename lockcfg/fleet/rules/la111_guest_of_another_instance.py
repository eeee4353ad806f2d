"""Guests that the lock daemon of the host does not know of.

## What it does

Reports guests of a user's own libvirt (qemu:///session) and of QEMU that was started without
libvirt.

## Why is this bad

libvirt has the system's lock daemon take no locks for them, whatever the configuration of the host
says. The audit judges each of their disks as unlocked. While such a guest runs, every other host is
granted its disk: that is an error if other hosts can reach the disk. It is a warning if the guest
does not run, or if its disks are on the host's own file systems.

A guest that `lockd run` has started is none of these if lockd says that it holds the locks of all
its disks. virtlockd does not say for whom it holds a lock.

## Example

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: test
      instance: session
      disks: [/srv/images/test]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02:
  guests:
    - name: test
      disks: [/srv/images/test]
```

## Fix

None: define these guests in the system's libvirt (qemu:///system).
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA111", "guest-of-another-instance", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    own = {storage.path for storage in cell.facts.storages if storage.place.local}
    for instance, whose in (
        ("session", "of a user's own libvirt"),
        ("process", "of QEMU that was started without libvirt"),
    ):
        uses = [use for use in cell.uses if use.driver == instance]
        written = any(
            use.running
            and not use.readonly
            and (use.type == "block" or (use.type != "network" and use.storage not in own))
            for use in uses
        )
        if written:
            yield Observation(
                f"guests {whose} run on disks that other hosts may reach, and no lock of theirs is"
                " known",
                help="define them in the system's libvirt (qemu:///system), and start them there",
            )
        elif uses:
            yield Observation(
                f"guests {whose}: no lock daemon of the host knows of them",
                help="define them in the system's libvirt (qemu:///system)",
                severity="warning",
            )
