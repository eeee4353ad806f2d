"""A waiver of nothing.

## What it does

Reports a waiver that no finding needs, in a comment or in the settings.

## Why is this bad

The finding has been corrected. Now the waiver hides the next mistake of that kind.

## Example

```conf kvm01/qemu.conf
max_files = 5  # lockcfg: ignore[LK105] until the upgrade
```

## Use instead

```conf kvm01/qemu.conf
max_files = 5
```

## Fix

None: delete the waiver.
"""

from __future__ import annotations

from lockcfg.findings import Finding
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lockcfg.findings import Place
    from lockcfg.rules.rule import Options, RuleFinding

RULE = Rule("LK902", "waiver-unneeded", "warning", scope="run")


def check(subject: object, options: Options) -> Iterator[RuleFinding]:
    """Find nothing: the linter itself checks its waivers. See :func:`finding`."""
    del subject, options
    yield from ()


def finding(path: str, place: Place | None, rules: Sequence[str]) -> Finding:
    """The finding about a waiver of ``rules`` that waives nothing."""
    names = printable(", ".join(rules))
    return Finding(
        RULE.name,
        RULE.severity,
        f"the waiver of {names} waives nothing: there is no such finding",
        path=path,
        place=place,
        help="delete it, or it hides the next one; or see whether it stands at the right place",
    )
