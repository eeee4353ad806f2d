"""A file that nothing reads.

## What it does

Reports a `qemu-lockd.conf` or `libxl-lockd.conf` that sets something in the directory of a host
that has the other driver's file and not its own: `libxl-lockd.conf` beside `qemu.conf`, and no
`libxl.conf`. A directory with neither driver's file is left alone, as it may be a part of
several hosts.

## Why is this bad

The settings look as if they decided about the locks, but no program reads them: without its own
file, where `lock_manager` would be set, a driver takes no locks.

## Example

```conf kvm01/qemu.conf
lock_manager = "lockd"
```

```conf kvm01/libxl-lockd.conf
file_lockspace_dir = "/srv/locks"
```

## Use instead

```conf kvm01/qemu.conf
lock_manager = "lockd"
```

```conf kvm01/qemu-lockd.conf
file_lockspace_dir = "/srv/locks"
```

## Fix

None: it would be a change of two files.
"""

from __future__ import annotations

from lockcfg.conf.files import DRIVERS
from lockcfg.findings import Finding
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import Options, RepositorySubject

RULE = Rule("LK502", "unused-file", "info", scope="repository")


def check(subject: RepositorySubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    for host in sorted(subject.hosts, key=lambda host: host.directory):
        for driver in DRIVERS:
            document = host.documents.get(f"{driver}-lockd.conf")
            if document is None or not document.entries or f"{driver}.conf" in host.documents:
                continue
            others = [other for other in DRIVERS if f"{other}.conf" in host.documents]
            if not others:
                continue
            message = (
                f"nothing reads {driver}-lockd.conf here: this host has {others[0]}.conf and no"
                f" {driver}.conf to name lockd as its lock manager"
            )
            yield RuleFinding(
                Finding(
                    RULE.name,
                    RULE.severity,
                    message,
                    path=host.path(f"{driver}-lockd.conf"),
                    help=f"move what it sets to {others[0]}-lockd.conf, or delete it",
                )
            )
