"""Two hosts with one number in a lockspace of sanlock.

## What it does

Reports a `host_id` that several hosts of a repository have for the same `disk_lease_dir`, where
`sanlock` is their lock manager and `auto_disk_leases` is 1.

## Why is this bad

sanlock tells hosts apart by that number alone. The second host cannot join the lockspace while the
first one is in it, and its guests do not start.

## Example

```conf kvm01/qemu.conf
lock_manager = "sanlock"
```

```conf kvm01/qemu-sanlock.conf
auto_disk_leases = 1
host_id = 1
```

```conf kvm02/qemu.conf
lock_manager = "sanlock"
```

```conf kvm02/qemu-sanlock.conf
auto_disk_leases = 1
host_id = 1
```

## Use instead

```conf kvm01/qemu.conf
lock_manager = "sanlock"
```

```conf kvm01/qemu-sanlock.conf
auto_disk_leases = 1
host_id = 1
```

```conf kvm02/qemu.conf
lock_manager = "sanlock"
```

```conf kvm02/qemu-sanlock.conf
auto_disk_leases = 1
host_id = 2
```

## Fix

None: you decide which of the two gets another number.
"""

from __future__ import annotations

from lockcfg.conf.files import DRIVERS
from lockcfg.findings import Finding, Place
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Document, Entry
    from lockcfg.rules.rule import HostFiles, Options, RepositorySubject

RULE = Rule("LK504", "sanlock-host-id", "error", scope="repository")

_DEFAULT_DIRECTORY = "/var/lib/libvirt/sanlock"


def check(subject: RepositorySubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    numbers: dict[tuple[str, str, int], list[tuple[HostFiles, Document, Entry]]] = {}
    for host in sorted(subject.hosts, key=lambda host: host.directory):
        for driver in DRIVERS:
            main, plugin = (
                host.documents.get(f"{driver}{suffix}.conf") for suffix in ("", "-sanlock")
            )
            if main is None or plugin is None or _value(main, "lock_manager") != "sanlock":
                continue
            entry = plugin.get("host_id")
            if entry is None or not isinstance(entry.value, int) or not entry.value:
                continue
            if _value(plugin, "auto_disk_leases") == 1:
                directory = _value(plugin, "disk_lease_dir") or _DEFAULT_DIRECTORY
                key = (driver, str(directory).rstrip("/"), entry.value)
                numbers.setdefault(key, []).append((host, plugin, entry))
    for (_, directory, number), hosts in numbers.items():
        first = hosts[0][0].directory
        for host, plugin, entry in hosts[1:]:
            path = host.path(plugin.kind.name)
            place = plugin.place_of(entry)
            yield RuleFinding(
                Finding(
                    RULE.name,
                    RULE.severity,
                    f"host_id {number} is that of {first} too: one of the two cannot join the"
                    f" lockspace in {directory}",
                    path=path,
                    place=Place(path, place.line, place.column, place.text, place.length),
                    key="host_id",
                    help="give each host of the lockspace a number of its own, from 1 to 2000",
                )
            )


def _value(document: Document, key: str) -> object:
    entry = document.get(key)
    return entry.value if entry else None
