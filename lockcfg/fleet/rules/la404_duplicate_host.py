"""Two snapshots of one host.

## What it does

Reports host names with several, different snapshots, of which the newest counts, and names that
belong to one machine, which the boot id of its kernel shows.

## Why is this bad

Two machines may have one name, and then the audit looked at one of them only. If their machine ids
show that, the name counts as unknown.

## Example

```yaml fleet
kvm01: {}
kvm02: {host: {name: kvm01, machine_id: other}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: keep one, or give the other machine a name of its own (`--name`).
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA404", "duplicate-host", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for name, sources, machines in fleet.twice:
        message = "there are several snapshots of it; only the newest counts"
        if machines:
            message = "two machines have this name, by their machine ids; only one was judged"
        yield Observation(
            message,
            hosts=[name],
            reasons=[sources[0] + " counts", *(source + " does not" for source in sources[1:11])],
            help="give each a name of its own: 'lockcfg collect --name'" if machines else "",
            unknown=machines,
        )
    for pair in fleet.same:
        yield Observation(
            "it is one machine under two names, or a clone: they have one kernel, by its boot id",
            hosts=pair,
            help="collect both again; give a clone a machine id of its own",
            unknown=True,
        )
