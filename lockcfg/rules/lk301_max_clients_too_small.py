"""A lock daemon that cannot serve all guests of the host.

## What it does

With the number of guests given, compares `max_clients` of `virtlockd.conf`, or its default of
1024, with the connections that are needed: one for each guest, one for each guest that comes
over when other hosts fail, and 20 for what libvirt does meanwhile, which is as many jobs as it
does at once.

Only where lockd is the lock manager.

## Why is this bad

Every running guest keeps a connection to virtlockd open. Beyond `max_clients` virtlockd accepts a
connection, never answers it and logs nothing: the guest hangs at its start. This happens when
another host has failed and its guests start here.

## Example

```yaml settings
guests: 1000
spare-guests: 250
```

```conf qemu.conf
lock_manager = "lockd"
```

```conf virtlockd.conf
max_clients = 1024
```

## Use instead

```yaml settings
guests: 1000
spare-guests: 250
```

```conf qemu.conf
lock_manager = "lockd"
```

```conf virtlockd.conf
max_clients = 2048
```

## Fix

Unsafe: raises `max_clients`, if it is set, to the number that is needed. Neither a reload nor a
restart of libvirtd brings it into force: see the help of the finding.
"""

from __future__ import annotations

from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, about_file, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK301", "max-clients-too-small", "warning", scope="host", fix="unsafe")

#: libvirtd also connects for the time of a job, and does max_workers jobs at once.
HEAD_ROOM: Final = 20

#: virtlockd's default.
DEFAULT: Final = 1024


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    configuration = subject.configuration
    if options.guests is None or configuration.lock_manager != "lockd":
        return
    daemon = configuration.documents["daemon"]
    entry = daemon.get("max_clients")
    limit = DEFAULT if entry is None else entry.value
    guests, spare = options.guests, options.spare_guests
    needed = guests + spare + HEAD_ROOM
    if not isinstance(limit, int) or not 0 < limit < needed:
        return  # LK105 is about what is not an integer, and LK302 about a zero
    message = (
        f"virtlockd serves {limit} connections at once{'' if entry else ' by default'}, and"
        f" {_guests(guests, spare)} need {needed}: beyond the limit a guest hangs at its start"
    )
    advice = (
        f"set max_clients = {needed} in virtlockd.conf; a running virtlockd takes it from"
        f" 'virt-admin -c virtlockd:///system srv-clients-set virtlockd --max-clients {needed}',"
        " not from a reload"
    )
    if entry is not None:
        fix = Fix("unsafe", f"set it to {needed}", Replacement(entry.value_span, str(needed)))
        yield RuleFinding(at_value(RULE, daemon, entry, message, help=advice), fix)
        return
    driver = configuration.documents["driver"]
    manager = driver.get("lock_manager")
    if daemon.exists or manager is None:
        yield RuleFinding(about_file(RULE, daemon, message, help=advice))
    else:
        # There is no virtlockd.conf to point at, so the finding points at the setting that needs
        # it.
        yield RuleFinding(at_value(RULE, driver, manager, message, help=advice))


def _guests(guests: int, spare: int) -> str:
    return f"{guests} guests and {spare} that may come over" if spare else f"{guests} guests"
