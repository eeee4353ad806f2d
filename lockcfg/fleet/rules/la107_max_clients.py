"""A lock daemon that cannot serve the guests of failed hosts.

## What it does

Compares `max_clients` with the guests that run on a host and those that come over when others
fail: of the hosts of the group that run the most, as many as the policy's `failed-hosts` says.

## Why is this bad

Every running guest keeps one connection. A client beyond the limit is accepted and never answered,
and nothing is logged: the start of a guest hangs, at the moment when the guests of a failed host
must start here.

## Example

```yaml fleet
kvm01: {virtlockd.conf: 'max_clients = 1'}
kvm02: {}
kvm03: {}
```

```yaml policy
groups:
  all:
    hosts: ['kvm[01-03]']
    failed-hosts: 1
```

## Use instead

```yaml fleet
kvm01: {virtlockd.conf: 'max_clients = 1024'}
kvm02: {}
kvm03: {}
```

```yaml policy
groups:
  all:
    hosts: ['kvm[01-03]']
    failed-hosts: 1
```

## Fix

None: set `max_clients` to what the fleet needs; it can be raised while guests run.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA107", "max-clients", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for group in fleet.groups:
        failing = group.policy.failed_hosts if group.policy else 0
        most = group.most_guests(failing + 1)
        for cell in group.cells:
            in_force = [int(limit) for (limit,) in cell.about("limit")]
            limit = in_force[0] if in_force else cell.facts.settings["max_clients"]
            if cell.facts.settings["lock_manager"] != "lockd" or not isinstance(limit, int):
                continue
            # What is left out of the sum below only makes it less.
            if sum(most) <= limit:
                continue
            # Only other hosts fail: if this host is among the busiest, the next busiest takes its
            # place.
            needed = [
                running + sum(most[:failing]) if running < most[-1] else sum(most)
                for running in cell.running
            ]
            both = zip(cell.hosts, needed, strict=True)
            short = [host for host, guests in both if guests > limit]
            if short:
                after = f" when {failing} others of the group fail" if failing else ""
                yield Observation(
                    f"max_clients is {limit}, and there may be {max(needed)} guests{after}: the"
                    " start of further guests hangs",
                    hosts=short,
                    cause="max_clients",
                    help="raise max_clients; virt-admin does it while guests run",
                )
