"""A waiver whose time is over.

## What it does

Reports a waiver whose date has passed, if the finding that it waived is still there. The finding
counts again.

## Why is this bad

The date was the last day to correct the finding.

## Example

```conf kvm01/qemu.conf
max_files = "5"  # lockcfg: ignore[LK105] until the upgrade (until 2020-01-31)
```

## Use instead

```conf kvm01/qemu.conf
max_files = 5
```

## Fix

None: correct what is waived, or decide about it again.
"""

from __future__ import annotations

from lockcfg.findings import Finding
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Sequence

    from lockcfg.findings import Place
    from lockcfg.rules.rule import Options, RuleFinding

RULE = Rule("LK901", "waiver-expired", "error", scope="run")


def check(subject: object, options: Options) -> Iterator[RuleFinding]:
    """Find nothing: the linter itself checks its waivers. See :func:`finding`."""
    del subject, options
    yield from ()


def finding(path: str, place: Place | None, rules: Sequence[str], until: datetime.date) -> Finding:
    """The finding about a waiver of ``rules`` whose last day was ``until``.

    The first day of the year 1 stands for a date that no calendar has.
    """
    names = printable(", ".join(rules))
    if until.year == 1:
        message = (
            f"the end of the waiver of {names} is not a day of the calendar: it does not count"
        )
    else:
        message = f"the waiver of {names} ended on {until}, and what it waived is still there"
    return Finding(
        RULE.name,
        RULE.severity,
        message,
        path=path,
        place=place,
        help="correct what it waived, or decide about it again and write a new date",
    )
