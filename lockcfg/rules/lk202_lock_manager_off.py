"""Locking is turned off.

## What it does

Reports `lock_manager = "nop"`. If lockd has settings in spite of it, LK203 reports it.

## Why is this bad

`nop` locks nothing: two guests can write one disk at the same time. This may be intended, if
another program prevents that; then say so in a waiver.

## Example

```conf qemu.conf
lock_manager = "nop"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

## Fix

None: locking may be off for a reason.
"""

from __future__ import annotations

from lockcfg.rules.lockd import lockd_is_configured
from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK202", "lock-manager-off", "warning", scope="host", needs=("driver",))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    driver = configuration.documents["driver"]
    entry = driver.get("lock_manager")
    if entry is None or entry.value != "nop" or lockd_is_configured(configuration):
        return
    yield RuleFinding(
        at_value(
            RULE,
            driver,
            entry,
            'lock_manager = "nop" locks nothing: two guests can write one disk at the same time',
            help="say 'lockcfg enable'; if it is off on purpose, waive this with the reason",
        )
    )
