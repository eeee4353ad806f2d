"""A host that locks unlike its neighbours.

## What it does

Compares the settings that decide the locking, as they are in force, among the hosts of a group,
and reports a host where one is different from what at least 80 % of the group have. The groups
are those of the option `groups`; without it, five or more hosts whose directories are side by
side are one.

The majority is not always right: this is a hint where to look.

## Why is this bad

Locks protect a disk only if all hosts take the same one. One host with another lockspace, or
without a lock manager, starts a guest that runs elsewhere, and both write.

## Example

```conf hosts/kvm01/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm02/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm03/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm04/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm05/qemu.conf
lock_manager = "nop"
```

## Use instead

```conf hosts/kvm01/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm02/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm03/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm04/qemu.conf
lock_manager = "lockd"
```

```conf hosts/kvm05/qemu.conf
lock_manager = "lockd"
```

## Fix

None: the others may be the ones that are wrong.
"""

from __future__ import annotations

from lockcfg.conf.document import Document
from lockcfg.conf.files import DRIVERS, kinds_of
from lockcfg.conf.settings import spell
from lockcfg.findings import Finding, Place
from lockcfg.frozen import Frozen
from lockcfg.host.host import LOCKING_KEYS, Configuration
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import Driver
    from lockcfg.rules.rule import HostFiles, Options, RepositorySubject

    _Values = tuple[Value | None, ...]

RULE = Rule("LK503", "odd-one-out", "warning", scope="repository")

#: From this number on, neighbours are a group even if the settings name none. Of fewer hosts, one
#: cannot differ from 80 %.
_FEWEST: Final = 5


class _Settings(Frozen):
    """The settings in force with one set of documents: ``values`` has the values of
    LOCKING_KEYS."""

    __slots__ = ("configuration", "values")

    def __init__(self, configuration: Configuration, values: _Values) -> None:
        self.configuration: Final = configuration
        self.values: Final = values


class _Seen:
    """The results for earlier hosts: many hosts have the same documents, and most have the same
    settings that decide the locking."""

    def __init__(self) -> None:
        self.settings: dict[tuple[object, ...], _Settings] = {}
        self._values: dict[tuple[object, ...], _Values] = {}

    def values(self, configuration: Configuration) -> _Values:
        """The values of LOCKING_KEYS."""
        written = (
            configuration.driver,
            *(
                tuple((e.key, e.value, e.literal) for e in document.entries if e.key in _KEYS)
                for document in configuration.documents.values()
            ),
        )
        values = self._values.get(written)
        if values is None:
            values = tuple(configuration.effective(key).value for key in LOCKING_KEYS)
            self._values[written] = values
        return values


def check(subject: RepositorySubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    seen = _Seen()
    said: set[tuple[str, str]] = set()
    for group, hosts in sorted(_groups(subject, options).items()):
        for driver in DRIVERS:
            for found in _odd(group, hosts, _settings_of_all(hosts, driver, seen)):
                about = (found.finding.path, found.finding.key or "")
                if about not in said:  # in several groups, or read by both drivers
                    said.add(about)
                    yield found


def _groups(subject: RepositorySubject, options: Options) -> dict[str, Sequence[HostFiles]]:
    """The groups by their names in a message, each with its hosts in the order of their names."""
    found: dict[str, list[HostFiles]] = {}
    if options.groups:
        for name, hosts in subject.groups(options).items():
            found[f"the group '{name}'"] = list(hosts)
    else:
        for host in subject.hosts:
            parent, _, name = host.host.rpartition("/")
            if name:
                found.setdefault(parent or "this repository", []).append(host)
        found = {name: hosts for name, hosts in found.items() if len(hosts) >= _FEWEST}
    return {name: sorted(hosts, key=lambda host: host.directory) for name, hosts in found.items()}


def _settings_of_all(
    hosts: Sequence[HostFiles], driver: Driver, seen: _Seen
) -> list[_Settings | None]:
    """What is in force on each of the hosts; see :func:`_settings`."""
    # Hosts with the same contents share the mapping of them as well, in the linter.
    by_mapping: dict[int, _Settings | None] = {}
    for host in hosts:
        mapping = id(host.documents)
        if mapping not in by_mapping:
            by_mapping[mapping] = _settings(host, driver, seen)
    return [by_mapping[id(host.documents)] for host in hosts]


def _settings(host: HostFiles, driver: Driver, seen: _Seen) -> _Settings | None:
    """What is in force on a host; None if it has not the driver or a file cannot be parsed."""
    if f"{driver}.conf" not in host.documents:
        return None
    kinds = kinds_of(driver)
    documents = [host.documents.get(kind.name) for kind in kinds]
    # The documents live as long as the subject, so an id is one of them and no other.
    key = (driver, *(id(document) if document else None for document in documents))
    settings = seen.settings.get(key)
    for kind, document in zip(kinds, documents, strict=True):
        if document is None and kind.name in host.documents:
            return None
    if settings is None:
        configuration = Configuration(
            driver,
            {
                kind.role: document or Document(kind, kind.name, None, ())
                for kind, document in zip(kinds, documents, strict=True)
            },
        )
        settings = seen.settings[key] = _Settings(configuration, seen.values(configuration))
    return settings


def _odd(
    group: str, hosts: Sequence[HostFiles], settings_of: Sequence[_Settings | None]
) -> Iterator[RuleFinding]:
    """The hosts of one group that are unlike the others; None has not the driver."""
    # Each set of documents is looked at once: most hosts share theirs.
    counts: dict[int, int] = {}
    distinct: dict[int, _Settings] = {}
    for settings in settings_of:
        if settings is not None:
            distinct[id(settings)] = settings
            counts[id(settings)] = counts.get(id(settings), 0) + 1
    common = [
        _common([(settings.values[n], counts[key]) for key, settings in distinct.items()])
        for n in _NUMBERS
    ]
    odd_of = {key: _odd_settings(settings, common) for key, settings in distinct.items()}
    total = sum(counts.values())
    for host, settings in zip(hosts, settings_of, strict=True):
        if settings is None:
            continue
        for number in odd_of[id(settings)]:
            expected = common[number]
            assert expected is not None
            yield RuleFinding(_finding(group, host, settings, number, *expected, total))


_NUMBERS: Final = range(len(LOCKING_KEYS))
_KEYS: Final = frozenset(LOCKING_KEYS)


def _common(values: Sequence[tuple[Value | None, int]]) -> tuple[Value | None, int] | None:
    """The value that at least 80 % have and how many have it; None if there is none, or if all have
    it. ``values`` come with how many have them, and more than once."""
    counts: dict[Value | None, int] = {}
    for value, count in values:
        counts[value] = counts.get(value, 0) + count
    if len(counts) < 2:
        return None
    value, count = max(counts.items(), key=lambda item: item[1])
    return (value, count) if count * 5 >= sum(counts.values()) * 4 else None


def _odd_settings(
    settings: _Settings, common: Sequence[tuple[Value | None, int] | None]
) -> list[int]:
    odd = [
        number
        for number in _NUMBERS
        if (expected := common[number]) is not None and settings.values[number] != expected[0]
    ]
    leases, auto = (
        LOCKING_KEYS.index("require_lease_for_disks"),
        LOCKING_KEYS.index("auto_disk_leases"),
    )
    if auto in odd and leases in odd:
        effective = settings.configuration.effective("require_lease_for_disks")
        if effective.place is None:
            odd.remove(leases)  # it only follows from the other
    return odd


def _finding(
    group: str,
    host: HostFiles,
    settings: _Settings,
    number: int,
    expected: Value | None,
    count: int,
    total: int,
) -> Finding:
    key = LOCKING_KEYS[number]
    effective = settings.configuration.effective(key)
    name = effective.setting.kind.name
    place = effective.place
    path = host.path(name if name in host.documents else f"{settings.configuration.driver}.conf")
    if place is not None:
        place = Place(path, place.line, place.column, place.text, place.length)
    what = _shown(effective.value)
    if place is None and effective.value is not None:
        what += " by default"
    return Finding(
        RULE.name,
        RULE.severity,
        f"'{key}' is {what} here and {_shown(expected)} on {count} of the {total} hosts in {group}",
        path=path,
        place=place,
        key=key,
        help="look which is meant, as the many may be wrong; then make them alike, or waive this",
    )


def _shown(value: Value | None) -> str:
    if value is None:
        return "not set"
    return printable(f'"{value}"' if isinstance(value, str) else spell(value))
