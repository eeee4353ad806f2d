"""Facts that are not complete.

## What it does

Reports hosts of which some facts are missing: the audit had only their files, or the collector did
not run as root, ran with `--no-probe`, or could not read something.

## Why is this bad

The audit never calls unknown facts safe.

## Example

```yaml fleet
kvm01: {}
kvm02:
  collector: {privileged: false}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: run the collector on the host, as root.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA407", "facts-incomplete", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if not cell.facts.live:
        yield Observation(
            "only the files are known: mounts, devices, daemons and guests are not",
            help="run the collector on the hosts: see 'lockcfg collect --help'",
            unknown=True,
        )
    if cell.about("earlier"):
        yield Observation(
            "not everything is known: it was read from a fleet store of an earlier lockcfg",
            help="make the store again from the snapshots",
            unknown=True,
        )
    for storage in cell.facts.storages:
        if storage.state == "error":
            yield Observation(
                f"not everything is known: {storage.path}, with disks on it, could not be looked"
                f" at: {storage.error}",
                unknown=True,
            )
    for reason in cell.facts.incomplete:
        yield Observation(f"not everything is known: {reason}", unknown=True)
