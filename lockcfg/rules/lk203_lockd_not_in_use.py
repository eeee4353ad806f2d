"""The lock daemon is configured, and nothing uses it.

## What it does

Reports a host on which lockd's own file has settings while `lock_manager` is not `lockd`. While
it is `sanlock`, disks are locked and the settings are only dead: that is a warning. A
`lock_manager` that is misspelt or in another file is what LK102 and LK103 report, one with a
value that libvirt refuses what LK105 and LK106 do.

## Why is this bad

The file says where the locks should be, so disks seem to be locked. But libvirt never takes a
lock.

## Example

```conf qemu.conf
# lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
```

## Fix

None: `lockcfg enable` turns locking on, and says what must be restarted.
"""

from __future__ import annotations

from lockcfg.rules.lockd import is_misplaced, lockd_is_configured
from lockcfg.rules.rule import Rule, RuleFinding, about_file, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK203", "lockd-not-in-use", "error", scope="host", needs=("driver", "lockd"))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    if not lockd_is_configured(configuration):
        return
    driver = configuration.documents["driver"]
    lockd = configuration.documents["lockd"].kind.name
    entry = driver.get("lock_manager")
    advice = "say 'lockcfg enable', or set lock_manager = \"lockd\""
    if entry is None:
        if not is_misplaced(configuration):
            message = f"{lockd} sets up lockd, but {driver.kind.name} sets no lock_manager"
            yield RuleFinding(
                about_file(RULE, driver, f"{message}: nothing is locked", help=advice)
            )
    elif entry.value == "nop":
        message = f"{lockd} sets up lockd, but lock_manager is nop: nothing is locked"
        yield RuleFinding(at_value(RULE, driver, entry, message, help=advice))
    elif entry.value == "sanlock":
        yield RuleFinding(
            at_value(
                RULE,
                driver,
                entry,
                f"lock_manager is sanlock: the settings of {lockd} do nothing",
                help=f"take the settings out of {lockd}",
                severity="warning",
            )
        )
