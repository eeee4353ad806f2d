"""Block devices with world-wide names of unlike types.

## What it does

Reports guests' block devices whose world-wide names are of unlike types: `naa`, `eui`, `t10`, the
UUID or the NGUID of an NVMe namespace, or a serial number.

## Why is this bad

One device may have a name of each type. Which of them a host shows depends on its kernel, and on
whether multipath is in use. So two names of unlike types may be one device that two guests can
write, and nothing shows whether they are.

## Example

```yaml fleet
kvm01:
  guests:
    - name: db
      disks: [{path: /dev/nvme0n1, wwid: uuid.6a1b2c3d-0000-4000-8000-123456789abc}]
kvm02:
  guests:
    - name: web
      disks: [{path: /dev/nvme1n1, wwid: eui.0025385b71b0a1c2}]
```

## Use instead

```yaml fleet
kvm01:
  guests:
    - name: db
      disks: [{path: /dev/nvme0n1, wwid: uuid.6a1b2c3d-0000-4000-8000-123456789abc}]
kvm02:
  guests:
    - name: web
      disks: [{path: /dev/nvme1n1, wwid: uuid.6a1b2c3d-0000-4000-8000-0000000000ef}]
```

## Fix

None: compare the names of the devices. The kernel has those of an NVMe namespace in
`/sys/class/block/NAME/`, in `uuid`, `nguid` and `eui`. `sg_vpd --page=di` has those of a SCSI
device.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import NamedTuple

from lockcfg.fleet.model.uses import BELOW_FILES
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA317", "device-named-otherwise", "warning", scope="fleet")


class _Name(NamedTuple):
    """A type of names that guests' devices have: who tells them, and whether the devices are only
    below others. ``of`` is empty if it is unknown, as in a store of an earlier lockcfg."""

    of: str
    by: str
    backing: bool

    def is_unlike(self, other: _Name) -> bool:
        """Whether devices with such names may be one, and one of them is a guest's own."""
        return (self.of != other.of or not self.of) and not (self.backing and other.backing)


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    names = {cell: frozenset(_names(cell)) for cell in fleet.cells}
    cells = Counter(chain.from_iterable(names.values()))
    for cell, mine in names.items():
        for of in sorted({name.of for name in mine}):
            unlike = {
                other.of or "unknown"
                for name in mine
                for other in cells
                if name.of == of
                and name.is_unlike(other)
                # One program gives all devices of a host the first type of name that they have.
                and (len(cell.hosts) > 1 or cells[other] > (other in mine) or name.by != other.by)
            }
            if unlike:
                yield Observation(
                    "guests have block devices whose names are of unlike types"
                    f" ({of or 'unknown'}; others: {', '.join(sorted(unlike))}): it is unknown"
                    " whether any are one",
                    hosts=cell.hosts,
                    help="compare all names of the devices ('sg_vpd --page=di', or uuid, nguid and"
                    " eui in /sys/class/block/NAME), and waive this if no two are one",
                    unknown=True,
                )


def _names(cell: Cell) -> Iterator[_Name]:
    for use in cell.uses:
        if use.layer == "scsi" and use.naming != BELOW_FILES and (use.backing or not use.readonly):
            of, _, by = use.naming.partition(" ")
            yield _Name(of, by, use.backing)
