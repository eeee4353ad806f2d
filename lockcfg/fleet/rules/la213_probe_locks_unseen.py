"""A lock that other hosts do not see, as a probe showed.

## What it does

Reports directories of locks, and of images that are locked themselves, in which `lockcfg probe`
showed that a host and the others do not see each other's locks, though they found the same scratch
file.

## Why is this bad

Each of the hosts is granted the lock of a disk that a guest on the other one writes.

## Example

```yaml fleet
kvm01:
  evidence:
    number: 1
    hosts: 2
    directories: [{path: /srv/locks/files, nonce: 5eed, marked: [1, 2], locked: [1]}]
kvm02:
  evidence:
    number: 2
    hosts: 2
    directories: [{path: /srv/locks/files, nonce: 5eed, marked: [1, 2], locked: [2]}]
```

## Use instead

```yaml fleet
kvm01:
  evidence:
    number: 1
    hosts: 2
    directories: [{path: /srv/locks/files, nonce: 5eed, marked: [1, 2], locked: [1, 2]}]
kvm02:
  evidence:
    number: 2
    hosts: 2
    directories: [{path: /srv/locks/files, nonce: 5eed, marked: [1, 2], locked: [1, 2]}]
```

## Fix

None: mount the file system without options that keep locks local, or use one that carries locks.
"""

from __future__ import annotations

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import direct_images, each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Cell
    from lockcfg.fleet.model.evidence import Scratch

RULE = Rule("LA213", "probe-locks-unseen", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    if not fleet.probe.sights:
        return
    for cell in fleet.cells:
        for directory in (*each_space(cell), *direct_images(cell)):
            if directory.place.probed != "no":
                continue
            what = f"{directory.setting}: " if directory.setting else "images are locked in "
            yield Observation(
                f"{what}{directory.path}: a probe showed that the locks of these hosts do not keep"
                " the others out, nor theirs them",
                hosts=cell.hosts,
                group=cell.group,
                reasons=[f"it is on {directory.place.why}", *_pairs(fleet, cell, directory.path)],
                help=_HELP,
            )


def _pairs(fleet: Fleet, cell: Cell, path: str) -> Iterator[str]:
    """Which hosts of a cell do not see which other hosts."""
    for scratch in fleet.probe.scratches:
        found: dict[str, set[str]] = {}
        for pair, seen in scratch.seen.items():
            for one, other in (pair, pair[::-1]):
                name = fleet.names[one]
                if seen == "no" and name in cell.hosts and _has(fleet, one, path, scratch):
                    found.setdefault(name, set()).add(fleet.names[other])
        for name, others in sorted(found.items())[:_MOST]:
            yield f"{name} and {', '.join(fold(others))} do not see each other's locks"
        if len(found) > _MOST:
            yield f"and {len(found) - _MOST} more hosts: see the probe's table"


def _has(fleet: Fleet, host: int, path: str, scratch: Scratch) -> bool:
    sight = fleet.probe.sights.get(host, {}).get(path)
    return sight is not None and (sight.round, sight.nonce) == (scratch.round, scratch.nonce)


#: For how many hosts the rule says which others they do not see.
_MOST: Final = 20

_HELP: Final = "mount it without options that keep locks local, or use another file system"
