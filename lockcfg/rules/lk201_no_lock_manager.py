"""No lock manager is set.

## What it does

Reports a host whose driver file does not set `lock_manager`, with nothing said about lockd
either. With settings of lockd it is LK203, with `lock_manager = "nop"` LK202; a `lock_manager`
that is misspelt or in another file is what LK102 and LK103 report.

## Why is this bad

libvirt's default is to lock nothing: two guests can write one disk at the same time. That the
lock daemon is installed and running changes nothing.

## Example

```conf qemu.conf
# lock_manager = "lockd"
user = "qemu"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
user = "qemu"
```

## Fix

None: `lockcfg enable` turns locking on, and says what must be restarted.
"""

from __future__ import annotations

from lockcfg.rules.lockd import is_misplaced, lockd_is_configured
from lockcfg.rules.rule import Rule, RuleFinding, about_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK201", "no-lock-manager", "warning", scope="host", needs=("driver",))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    driver = configuration.documents["driver"]
    if driver.get("lock_manager") is not None or lockd_is_configured(configuration):
        return
    if not is_misplaced(configuration):
        yield RuleFinding(
            about_file(
                RULE,
                driver,
                f"{driver.kind.name} sets no lock_manager: two guests can write one disk at the"
                " same time",
                help="say 'lockcfg enable', or set lock_manager = \"lockd\"",
            )
        )
