"""Storage that is judged by what the policy says of it.

## What it does

Reports what a policy says in `same-storage` and `different-storage`.

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

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA507", "word-of-the-policy", "info", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    words = fleet.policy.words if fleet.policy else None
    if words is None:
        return
    for said, lists in (("one", words.same), ("not one", words.different)):
        for places in lists:
            yield Observation(f"the policy says that these are {said}: {', '.join(places)}")
