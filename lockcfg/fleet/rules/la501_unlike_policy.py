"""A host that is not as the policy says.

## What it does

Compares what is in force with the settings that the policy has for the group of the host, and
where the lockspaces are with its `storage`.

## Why is this bad

The policy is the owner's decision. It does not matter how many hosts differ from it.

## Example

```yaml fleet
kvm01: {}
kvm02: {qemu-lockd.conf: 'file_lockspace_dir = "/elsewhere"'}
```

```yaml policy
groups:
  all:
    hosts: ['kvm*']
    settings: {file_lockspace_dir: /srv/locks/files}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups:
  all:
    hosts: ['kvm*']
    settings: {file_lockspace_dir: /srv/locks/files}
```

## Fix

None: change the host, in the order of `lockcfg plan`, or the policy.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.groups import Cell
    from lockcfg.fleet.policy.policy import PolicyGroup

RULE = Rule("LA501", "unlike-policy", "error", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if cell.policy is None:
        return
    for key, wanted in cell.policy.settings.items():
        is_ = cell.facts.settings.get(key)
        if is_ != wanted:
            yield Observation(
                f"{key} is {_shown(is_)}, and the policy says {_shown(wanted)}",
                help="see 'lockcfg plan'",
                cause=key,
            )
    if cell.facts.live:  # files alone do not tell what is mounted
        yield from _misplaced(cell, cell.policy)


def _misplaced(cell: Cell, policy: PolicyGroup) -> Iterator[Observation]:
    """The lockspaces that are not in the place that the policy names."""
    spaces = {space.setting: space for space in cell.facts.spaces}
    for setting, wanted in policy.storage.items():
        space = spaces.get(setting)
        if space is None:
            if setting not in policy.settings:
                yield Observation(
                    f"{setting} is not in force, and the policy says it is in {wanted}",
                    help="see 'lockcfg plan'",
                )
        elif space.place.local or (space.place.system and space.place.shown != wanted):
            where = f"on {space.place.why}" if space.place.local else f"in {space.place.shown}"
            yield Observation(
                f"{setting} is {where}, and the policy says it is in {wanted}",
                help="see 'lockcfg plan'",
            )


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return f'"{value}"' if isinstance(value, str) else str(value)
