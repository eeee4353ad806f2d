"""Storage that is judged by what the policy says of it.

## What it does

Reports what a policy says in `same-storage` and `different-storage`. If the hosts show the
opposite, that is a warning, and whether the two are one is unknown. If the policy names so many
directories that not all pairs were compared, that is a warning as well.

## Why is this bad

This is no mistake: a policy may state what no host can show. The verdict depends on the statement,
so the audit reports it.

## Example

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
same-storage:
  - ['nfs://10.0.0.5:/locks', 'nfs://10.0.1.5:/locks']
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

```yaml policy
groups: {all: {hosts: ['kvm*']}}
```

## Fix

None: collect evidence (see the page about how the audit reasons), and remove the words.
"""

from __future__ import annotations

from itertools import combinations, islice

from lockcfg.fleet.model.place import contradicts, relation
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.model.place import Location

RULE = Rule("LA507", "word-of-the-policy", "info", scope="fleet")

#: How many pairs of places are compared with what the policy says of them, at most.
_COMPARED: Final = 50_000


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    words = fleet.policy.words if fleet.policy else None
    if words is None:
        return
    for said, lists in (("one", words.same), ("not one", words.different)):
        for places in lists:
            yield Observation(f"the policy says that these are {said}: {', '.join(places)}")
    seen: dict[Location, list[str]] = {}
    for cell in fleet.cells:
        for each in (*cell.facts.spaces, *cell.facts.leases, *cell.facts.storages):
            seen.setdefault(each.place, []).extend(cell.hosts)
    named = [place for place in seen if words.names(place.shown)]
    pairs = len(named) * (len(named) - 1) // 2
    if pairs > _COMPARED:
        yield Observation(
            f"the policy names storage of which hosts have {len(named)} directories: it is unknown"
            f" whether the hosts show the opposite, as only {_COMPARED} of {pairs} pairs were"
            " compared",
            hosts=sorted({host for place in named for host in seen[place]}),
            severity="warning",
            help="say less in the policy: name the directories instead of what is above them",
            unknown=True,
        )
    for one, other in islice(combinations(named, 2), _COMPARED):
        about = words.about(one.shown, other.shown)
        if about is None or not contradicts(about, relation(one, other), one, other):
            continue
        yield Observation(
            f"the policy says that {one.shown} and {other.shown} are"
            f" {'one' if about == 'same' else 'not one'}, and the hosts show the opposite",
            hosts=sorted({*seen[one], *seen[other]}),
            severity="warning",
            help="look at both, and remove what is wrong in the policy",
            unknown=True,
        )
