"""A host that is in the repository twice.

## What it does

Reports directories in different places that have the name of one host. The name of a host is that
of the directory that holds its files, without what is the same for all (`etc`, `libvirt`, `files`
and the like). The rule ignores roles and modules of configuration management, which are not hosts,
and hosts of different groups (option `groups`), which may share a name.

## Why is this bad

The host gets only one of the two. A change of the other one is reviewed and merged, and has no
effect.

## Example

```conf hosts/kvm01/qemu.conf
lock_manager = "lockd"
```

```conf old/kvm01/qemu.conf
lock_manager = "nop"
```

## Use instead

```conf hosts/kvm01/qemu.conf
lock_manager = "lockd"
```

## Fix

None: only you know which one is meant.
"""

from __future__ import annotations

from lockcfg.conf.files import KINDS
from lockcfg.findings import Finding
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from lockcfg.rules.rule import HostFiles, Options, RepositorySubject

RULE = Rule("LK501", "duplicate-host", "warning", scope="repository")

#: A directory with such a name is for several hosts, or for a user.
_NO_HOSTS: Final = frozenset(
    (".config", "cookbooks", "examples", "modules", "roles", "templates", "tests")
)


def check(subject: RepositorySubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    groups_of: dict[str, set[str]] | None = None
    for namesakes in _namesakes(subject):
        places: dict[str, HostFiles] = {}
        for host in namesakes:
            known = places.get(host.host)
            # One place may have several directories: the first one by name stands for it.
            if known is None or host.directory < known.directory:
                places[host.host] = host
        hosts = [host for _, host in sorted(places.items())]
        if groups_of is None:
            groups_of = _groups_of(subject, options)
        for number, host in enumerate(hosts):
            first = next(
                (
                    other
                    for other in hosts[:number]
                    if _may_be_one(groups_of.get(host.directory), groups_of.get(other.directory))
                ),
                None,
            )
            if first is None:
                continue
            file = next(name for name in reversed(KINDS) if name in host.documents)
            message = (
                f"the host '{host.name}' is in {first.host} as well: only one of the two can be"
                " what it gets"
            )
            advice = "delete the one that is not used, or put them into two groups in the settings"
            yield RuleFinding(
                Finding(RULE.name, RULE.severity, message, path=host.path(file), help=advice)
            )


def _namesakes(subject: RepositorySubject) -> Iterable[list[HostFiles]]:
    """The hosts that share their name with others."""
    first: dict[str, HostFiles] = {}
    found: dict[str, list[HostFiles]] = {}
    for host in subject.hosts:
        name = host.name.lower()
        if name and host.documents and not _NO_HOSTS.intersection(host.directory.split("/")):
            other = first.setdefault(name, host)
            if other is not host:
                found.setdefault(name, [other]).append(host)
    return found.values()


def _groups_of(subject: RepositorySubject, options: Options) -> dict[str, set[str]]:
    """The names of the groups of each host, by its directory."""
    found: dict[str, set[str]] = {}
    for group, hosts in subject.groups(options).items():
        for host in hosts:
            found.setdefault(host.directory, set()).add(group)
    return found


def _may_be_one(groups: set[str] | None, others: set[str] | None) -> bool:
    """Whether hosts of these groups can be one host: not if both have groups and share none."""
    return not groups or not others or bool(groups & others)
