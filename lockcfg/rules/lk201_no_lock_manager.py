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

from lockcfg.conf.settings import nearest, settings_of
from lockcfg.rules.rule import Found, Rule, about_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.host.host import Configuration
    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK201", "no-lock-manager", "warning", scope="host")


def check(subject: HostSubject, options: Options) -> Iterator[Found]:
    """See the manual above."""
    del options
    configuration = subject.configuration
    driver = configuration.documents["driver"]
    if driver.get("lock_manager") is not None or lockd_is_configured(configuration):
        return
    if not is_misplaced(configuration):
        yield Found(
            about_file(
                RULE,
                driver,
                f"{driver.kind.name} sets no lock_manager: two guests can write one disk at the"
                " same time",
                help="say 'lockcfg enable', or set lock_manager = \"lockd\"",
            )
        )


def lockd_is_configured(configuration: Configuration) -> bool:
    """Whether lockd's own file sets anything that lockd knows."""
    document = configuration.documents["lockd"]
    known = settings_of(document.kind)
    return any(entry.key in known for entry in document.entries)


def is_misplaced(configuration: Configuration) -> bool:
    """Whether ``lock_manager`` is there, misspelt or in the wrong file, so that LK102 or LK103
    says what is to be done."""
    for role, document in configuration.documents.items():
        known = settings_of(document.kind)
        for entry in document.entries:
            if entry.key in known:
                continue
            if entry.key == "lock_manager":
                return True
            if role == "driver" and nearest(entry.key, known) == "lock_manager":
                return True
    return False
