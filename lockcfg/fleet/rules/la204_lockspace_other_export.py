"""One path, and other things mounted there.

## What it does

Compares what is mounted at lockspace directories of the same path: the server, the export, and the
inode number that the server gives the directory.

## Why is this bad

The configuration is the same on all hosts, but their locks are in different places. A comparison
of files cannot find this.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace:
    inode: 4711
    mount: {source: 'nfs2:/locks', options: [addr=10.0.0.6, lookupcache=none, rw, vers=4.2]}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: mount the same export on all hosts.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import minority, places_by_setting
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA204", "lockspace-other-export", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        for setting, by_path in places_by_setting(group, fleet.ambiguous):
            for path, places in by_path.items():
                if not group.name or len(places) < 2:
                    continue
                reasons = [
                    f"{key}: {len(hosts)} of them, such as {min(hosts)}"
                    for key, hosts in places.items()
                ]
                yield Observation(
                    f"{setting}: {path} is not the same directory on all hosts that share storage",
                    hosts=minority(list(places.values())),
                    group=group.name,
                    reasons=reasons,
                    help="mount the same export on all hosts; the majority need not be right",
                )
