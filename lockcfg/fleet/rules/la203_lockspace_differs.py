"""Lockspaces in different directories.

## What it does

Compares, among the hosts of a group, the directory of each lockspace that is set. Two paths of one
directory are fine.

## Why is this bad

A lock in one directory has no effect in the other: the hosts let each other's guests write the
same disks. You decide which directory is right; that most hosts use one of them is only a hint.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu-lockd.conf: file_lockspace_dir = "/srv/locks/other"
  spaces: [/srv/locks/other]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: propagate one configuration, in the order of `lockcfg plan`.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import minority, places_by_setting
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA203", "lockspace-differs", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        for setting, by_path in places_by_setting(group):
            keys = {key for places in by_path.values() for key in places}
            if not group.name or len(by_path) < 2 or len(keys) < 2:
                continue
            reasons = [
                f"{path}: {sum(len(hosts) for hosts in places.values())} of them, such as"
                f" {min(min(hosts) for hosts in places.values())}"
                for path, places in by_path.items()
            ]
            yield Observation(
                f"{setting} differs among hosts that share storage: their locks do not meet",
                cause=setting,
                hosts=minority(
                    [
                        [host for hosts in places.values() for host in hosts]
                        for places in by_path.values()
                    ]
                ),
                group=group.name,
                reasons=reasons,
                help="decide for one of them; 'lockcfg plan' has the order of changes",
            )
