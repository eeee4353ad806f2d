"""Hosts that share storage with a group, and that the policy has in none.

## What it does

Reports hosts in no group of the policy that were seen to share storage with hosts that are in one,
by the file systems and block devices that their guests' disks are on. It also reports two groups of
the policy that share storage, if not all of their hosts exclude each other.

## Why is this bad

They could write the disks of that group, and the audit did not compare them with it. Perhaps the
host is new, or a name in the policy is misspelt.

## Example

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm01']}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups:
  all: {hosts: ['kvm*']}
```

## Fix

None: put them into the group of those they share storage with, or make one group of the two.
"""

from __future__ import annotations

from lockcfg.fleet.comparison.groups import Group
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA506", "host-in-no-group", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        others = fleet.sharing.get(group.name)
        if group.name and group.inferred and others:
            names = ", ".join(f"'{name}'" for name in sorted(others))
            yield Observation(
                f"in no group of the policy, but they share storage with {names}: whether they"
                " exclude those hosts was not looked at",
                hosts=group.hosts,
                group=group.name,
                help="put them into that group of the policy",
                unknown=True,
            )
    yield from _apart(fleet)


def _apart(fleet: Fleet) -> Iterator[Observation]:
    """Groups of the policy that share storage, and do not exclude each other there."""
    groups = {group.name: group for group in fleet.groups}
    seen: set[tuple[str, ...]] = set()
    for name, of in sorted(fleet.sharing.items()):
        several = tuple(sorted(each for each in of if each in groups))
        if not name or len(several) < 2 or several in seen:
            continue
        seen.add(several)
        whole = Group(name, inferred=True, words=groups[several[0]].words)
        whole.cells.extend(cell for each in several for cell in groups[each].cells)
        if any(
            len(domains) > 1 or domains[0][0].reach != "yes"
            for kind in whole.kinds
            if (domains := whole.domains(kind, fleet.ambiguous))
        ):
            yield Observation(
                f"the policy has {' and '.join(repr(each) for each in several)} apart, but they"
                f" share {name}, and not all of them exclude each other",
                hosts=whole.hosts,
                group=several[0],
                help="put them into one group of the policy",
                unknown=True,
            )
