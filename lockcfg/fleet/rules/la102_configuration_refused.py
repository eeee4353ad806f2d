"""Files with which libvirt does not start.

## What it does

Reports files that libvirt's parser refuses, that cannot be read, or that set a value that libvirt
does not take. It also reports a lock manager whose plugin or daemon is not installed.

## Why is this bad

A running daemon keeps the settings that it started with, and the files do not tell them. After its
next start attempt no daemon runs, and no guest can be managed.

## Example

```yaml fleet
kvm01: {}
kvm02:
  qemu.conf: |
    lock_manager = "lockd
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: `lockcfg validate` shows the place.
"""

from __future__ import annotations

import re

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA102", "configuration-refused", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    for file, reason in cell.facts.refused:
        yield Observation(
            f"libvirt does not start with {file}: {reason}",
            help="what is in force there is unknown until that is corrected: see 'lockcfg"
            " validate'",
            unknown=True,
            cause=f"{file}:{found[1]}" if (found := _LINE.match(reason)) else file,
        )


#: The beginning of a reason that names a line.
_LINE: Final = re.compile(r"line (\d+):")
