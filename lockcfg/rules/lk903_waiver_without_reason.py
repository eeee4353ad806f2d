"""A waiver that does not say why.

## What it does

Reports a waiver in a comment with no reason after its bracket. The waiver still counts.

## Why is this bad

Without a reason, later readers cannot tell whether the waiver is still needed.

## Example

```conf kvm01/qemu.conf
max_files = "5"  # lockcfg: ignore[LK105]
```

## Use instead

```conf kvm01/qemu.conf
max_files = "5"  # lockcfg: ignore[LK105] this host has a patched libvirt, see ticket 17
```

## Fix

None: only you know the reason.
"""

from __future__ import annotations

from lockcfg.findings import Finding
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.findings import Place
    from lockcfg.rules.rule import Options, RuleFinding

RULE = Rule("LK903", "waiver-without-reason", "warning", scope="run")


def check(subject: object, options: Options) -> Iterator[RuleFinding]:
    """Find nothing: the linter itself checks its waivers. See :func:`finding`."""
    del subject, options
    yield from ()


def finding(path: str, place: Place | None) -> Finding:
    """The finding about a waiver without a reason."""
    return Finding(
        RULE.name,
        RULE.severity,
        "this waiver does not say why",
        path=path,
        place=place,
        help="write the reason behind the bracket, and if it is for a time '(until 2030-12-31)'",
    )
