"""A waiver of a rule that there is not.

## What it does

Reports a name in the brackets of a waiver that is neither the code of a rule, nor the beginning
of codes, nor the name of a rule.

## Why is this bad

It waives nothing, and its author believes that it does. The settings refuse such a name outright.

## Example

```conf kvm01/qemu.conf
max_files = "5"  # lockcfg: ignore[wrong-typ] this host has a patched libvirt
```

## Use instead

```conf kvm01/qemu.conf
max_files = "5"  # lockcfg: ignore[wrong-type] this host has a patched libvirt
```

## Fix

None: only you know which rule was meant.
"""

from __future__ import annotations

from lockcfg.findings import Finding
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.findings import Place
    from lockcfg.rules.rule import Options, RuleFinding

RULE = Rule("LK905", "unknown-rule-in-waiver", "warning", scope="run")


def check(subject: object, options: Options) -> Iterator[RuleFinding]:
    """Find nothing: the linter itself checks its waivers. See :func:`finding`."""
    del subject, options
    yield from ()


def finding(path: str, place: Place | None, name: str) -> Finding:
    """The finding about ``name``, which a waiver has and no rule."""
    from lockcfg.nearest import nearest
    from lockcfg.rules import TABLE, code_and_name

    slugs = [code_and_name(module)[1] for module in TABLE]
    near = nearest(name.lower().replace("_", "-"), slugs)
    return Finding(
        RULE.name,
        RULE.severity,
        f"no rule is called '{printable(name)}': that part of the waiver does nothing",
        path=path,
        place=place,
        help=f"did you mean '{near}'?" if near else "'lockcfg rules' lists all",
    )
