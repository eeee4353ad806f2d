"""sanlock without its watchdog.

## What it does

Reports a `sanlock.conf` with which the daemon does not use the watchdog. If the file does not
say so, `lockcfg show` and `lockcfg validate` on the host look at the options of its command line
as well: Debian's `/etc/default/sanlock` has `-w 0`.

## Why is this bad

A host that loses its disks for a while loses its leases too. If its guests cannot be stopped then,
only the watchdog does, by a reset. Without it the host comes back and writes disks that another
host has leased meanwhile.

## Example

```conf sanlock.conf
use_watchdog = 0
```

## Use instead

```conf sanlock.conf
use_watchdog = 1
```

## Fix

None: check yourself whether the host has a watchdog that works, as wdmd needs one.
"""

from __future__ import annotations

from lockcfg.conf.sanlock import in_force
from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK506", "sanlock-without-watchdog", "warning", grammars=("sanlock",))


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    entry = document.get("use_watchdog")
    if entry is not None and in_force(document).get("use_watchdog") == 0:
        yield RuleFinding(
            at_value(
                RULE,
                document,
                entry,
                "sanlock does not use the watchdog: a host that loses its leases while its guests"
                " hang is not reset, and goes on writing their disks",
                help="write use_watchdog = 1, and have wdmd run",
            )
        )
