"""A snapshot in a file of another name.

## What it does

Reports snapshots whose file does not have the name of the host in it. A date after the host's name
is fine.

## Why is this bad

The file may be a copy of another host's snapshot, and then the audit knows nothing about the host
whose name the file has.

## Example

```yaml fleet
kvm01: {}
kvm02: {host: {name: kvm77}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: collect it again, or rename the file.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA406", "named-otherwise", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for (stem,) in cell.about("named"):
        yield Observation(f"the file of the snapshot has the name of another host: {stem}")
