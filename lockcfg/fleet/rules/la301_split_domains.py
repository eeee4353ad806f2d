"""Hosts that share storage and do not exclude each other.

## What it does

Sorts the hosts that share storage into lock domains, for each kind of disk that their guests have,
and reports where that makes more than one, or one in which each host is alone. If all hosts rely
on leases (`auto_disk_leases = 0`, and no guest starts without one), the leases count.

## Why is this bad

A guest that is started on two hosts of different domains runs twice on one disk, and destroys it.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {type: ext4, source: /dev/sda2, point: /, options: [rw]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: make them one domain, in the order of `lockcfg plan`.
"""

from __future__ import annotations

from lockcfg.fleet.comparison.groups import count_of
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Group
    from lockcfg.fleet.model.domains import Domain

RULE = Rule("LA301", "split-domains", "error", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for name in fleet.not_compared:
        yield Observation(
            f"so many directories may be {name} by another name that not all were compared: it is"
            " unknown whether some of them are one",
            severity="warning",
            help="say in a policy which hosts share their storage: see 'same-storage'",
            unknown=True,
        )
    for group in fleet.groups:
        if not group.name or (len(group.cells) == 1 and len(group.cells[0].hosts) == 1):
            continue
        for kind in group.kinds:
            domains = group.domains(kind, fleet.ambiguous)
            if all(domain.mode == "lease" for domain, _ in domains) and kind != "lease":
                continue  # only leases keep guests apart, so leases are a kind of their own
            split = len(domains) > 1 or any(domain.reach == "no" for domain, _ in domains)
            if not split:
                continue
            best = group.leading(domains)
            certain = _is_certain(group, [domain for domain, _ in domains])
            hosts = [
                host
                for domain, cells in domains
                if domain is not best
                for cell in cells
                for host in cell.hosts
            ]
            reasons = [
                f"{count_of(cells)} of them, such as {min(min(cell.hosts) for cell in cells)}:"
                f" {domain.where}" + ("" if domain.reach == "yes" else _REACH[domain.reach])
                for domain, cells in domains
            ]
            more = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
            yield Observation(
                f"hosts that share storage do not all exclude each other on {_KINDS[kind]}",
                hosts=hosts,
                group=group.name,
                reasons=reasons[:_NAMED] + more,
                severity="error" if certain and kind == "image" else "warning",
                help="make them one lock domain: see 'lockcfg plan'",
                unknown=not certain,
            )


def _is_certain(group: Group, domains: list[Domain]) -> bool:
    """Whether it is shown that some hosts do not exclude others: one of them keeps its locks to
    itself, or two lock in different directories. Otherwise it is only not shown that they do."""
    known = [domain for domain in domains if domain.reach != "unknown"][:_COMPARED]
    managers = {domain.mode if domain.mode in ("other", "sanlock") else "" for domain in domains}
    managers -= {"other"} if "sanlock" in managers else set()
    if len(managers) > 1 or any(domain.reach == "no" for domain in known):
        return True
    return any(
        group.relation(one, other) == "different"
        for number, one in enumerate(known)
        for other in known[number + 1 :]
    )


#: How many domains a finding names.
_NAMED: Final = 20

#: How many domains are compared with each other at most. A difference that this leaves out makes
#: the finding uncertain.
_COMPARED: Final = 100

_REACH: Final = {"no": "; each is alone", "unknown": "; it is unknown whether others see it"}

_KINDS: Final = {
    "image": "image files",
    "block": "block devices",
    "lvm": "logical volumes",
    "scsi": "SCSI volumes",
    "lease": "leases",
}
