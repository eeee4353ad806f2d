"""Plans the way to the policy: what to change on which hosts, and in which order.

Locks protect a disk while all hosts take the same lock. So the plan first puts in place what every
host needs, without effect. Then no guest may start while old and new hosts are mixed, as these do
not exclude each other. A running guest keeps the lock that it was started with. What takes effect
at once waits until then, such as a mount on a directory in use, or a program that libvirt asks for
names. Pure: it turns a fleet into steps.
"""

from __future__ import annotations

import posixpath
import shlex

from lockcfg.conf.files import kinds_of
from lockcfg.conf.settings import settings_of
from lockcfg.fleet.comparison.groups import Cell, count_of
from lockcfg.fleet.model.locks import DISK_KINDS
from lockcfg.fleet.plan.change import HostChange, lock_place_after
from lockcfg.fleet.plan.steps import Step, Work
from lockcfg.fleet.policy.host_ranges import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Final, Literal

    from lockcfg.conf.document import Value
    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Group
    from lockcfg.fleet.model.facts import Facts

    Guests = Mapping[str, Sequence[tuple[str, str]]]


def steps_of(fleet: Fleet, guests: Guests) -> tuple[list[Step], dict[int, Cell]]:
    """The steps for the groups of the policy, in order; and the cells that the steps change, as
    they will be, by the ``id`` of each. ``guests`` are the running guests by host, as
    :meth:`lockcfg.fleet.store.store.Store.guests_by_owner` has them."""
    steps: list[Step] = []
    changed: dict[int, Cell] = {}
    for group in fleet.groups:
        if group.policy is None:
            continue
        changes = [HostChange(cell, group) for cell in group.cells]
        found = list(_steps(fleet, group, changes, guests))
        steps += found
        if any(step.action == "check" for step in found):
            changed.update((id(change.cell), change.outcome) for change in changes)
    return steps, changed


def _steps(
    fleet: Fleet, group: Group, changes: Sequence[HostChange], guests: Guests
) -> Iterator[Step]:
    name = group.name
    unknown = _unknown(fleet, group)
    if not any(each.is_needed for each in changes) and not unknown:
        return
    yield from _mend(group)
    yield from _kept(name, changes)
    yield from _undecided(name, changes)
    if unknown:
        hosts = sorted({host for each in unknown.values() for host in each})
        yield Step(
            name,
            "look",
            hosts,
            "the state of these hosts is unknown, or no longer known, and they may run guests that"
            " the others would not see: collect snapshots of them, or take them out of the policy"
            " if they are gone. There is no plan for this group before",
            details=[f"{', '.join(fold(each))}: {why}" for why, each in unknown.items()],
            work=[_collect(hosts)],
        )
        return
    if any(each.why for change in changes for each in change.mountings):
        return
    if not any(each.is_changed for each in changes):
        return
    yield from _mounts(name, [change for change in changes if not change.remounts])
    yield from _makes(name, changes, lambda change: change.missing)
    mixed = _mixed(group, changes)
    if mixed:
        yield Step(
            name,
            "hold",
            group.hosts,
            "from here on no guest may be started, resumed or moved in this group but by this plan:"
            " until all of it is done, hosts of the old and of the new kind do not exclude each"
            " other",
            details=mixed,
        )
    # What is written takes effect when a daemon restarts, and it may restart by itself.
    yield from _writes(name, changes)
    # A snapshot shows what is missing once it is configured.
    yield from _makes(name, changes, lambda change: change.unseen, gap=bool(mixed))
    remounting = [change for change in changes if change.remounts]
    yield from _empty(name, remounting, guests)
    yield from _mounts(name, remounting, gap=bool(mixed))
    yield from _installs(name, changes, gap=bool(mixed))
    yield from _restarts(name, changes, gap=bool(mixed))
    yield from _limits(name, changes)
    yield from _guests(name, changes, guests)
    if mixed:
        yield Step(
            name,
            "release",
            group.hosts,
            "guests may be started again, except for those that run under old locks on other hosts"
            " than they run on",
        )
    yield Step(
        name,
        "check",
        group.hosts,
        "collect snapshots of all hosts again, and audit them",
        work=[_collect(group.hosts)],
    )


def _collect(hosts: Sequence[str]) -> Work:
    return Work("run", hosts, ["lockcfg collect"], {"command": ["lockcfg", "collect"]})


def _unknown(fleet: Fleet, group: Group) -> dict[str, list[str]]:
    """The hosts of a group of which nothing is known, or nothing current, by the reason."""
    assert group.policy is not None
    of_policy, of_group = group.policy.hosts, set(group.hosts)
    unread = (
        problem.host or posixpath.basename(problem.source).partition(".json")[0]
        for problem in fleet.problems
    )
    hours = fleet.max_age // 3600
    found = {
        "there is no snapshot": (host for host in fleet.missing if host in of_policy),
        "the snapshot cannot be read": (host for host in unread if host in of_policy),
        f"the snapshot is older than {hours} hours, or the clock there is behind": (
            host for host in fleet.old if host in of_group
        ),
        "the snapshot is from the future: the clock there is ahead": (
            host for host in fleet.ahead if host in of_group
        ),
        "the snapshot is not of a running host": (
            host for cell in group.cells if not cell.facts.live for host in cell.hosts
        ),
    }
    return {why: sorted(set(each)) for why, hosts in found.items() if (each := list(hosts))}


def _undecided(name: str, changes: Sequence[HostChange]) -> Iterator[Step]:
    """Steps for lockspaces of which a person must decide how they get to their place without
    harm."""
    for details, hosts in _alike(
        changes, lambda change: (each.shown for each in change.mountings if each.why)
    ):
        yield Step(
            name,
            "decide",
            hosts,
            "these directories have to be elsewhere, and you decide how: a plan mounts nothing"
            " over a directory that is in use. Then collect snapshots, and plan again",
            details=details,
        )


def _mend(group: Group) -> Iterator[Step]:
    refused = sorted(h for cell in group.cells if cell.facts.refused for h in cell.hosts)
    if refused:
        yield Step(
            group.name,
            "mend",
            refused,
            "libvirt does not start with the files there: correct them first, as it is unknown"
            " what is in force",
        )


def _kept(name: str, changes: Sequence[HostChange]) -> Iterator[Step]:
    """A step for settings that stay although the policy says otherwise."""
    for details, hosts in _alike(
        changes,
        lambda change: (
            f"{_file_of(change.cell.facts, key)}: {key} stays {_spelled(old)}; the policy says"
            f" {_spelled(new)}"
            for key, (old, new) in sorted(change.refused.items())
        ),
    ):
        yield Step(
            name,
            "decide",
            hosts,
            "the policy would take protection away here, or replace one lock manager by another,"
            " which no plan does: correct the policy, or do it by hand",
            details=details,
        )


def _empty(name: str, changes: Sequence[HostChange], guests: Guests) -> Iterator[Step]:
    """The step that empties hosts before a mount. A lock daemon removes a lock file by its path
    when it releases the lock. If another file system is mounted there by then, it removes the file
    of the host that the guest was moved to."""
    running = _running(changes, guests)
    if running:
        yield Step(
            name,
            "empty",
            running,
            "save the running guests there to disk, or move them away, before anything else is"
            " mounted where their locks are: their lock daemon would remove the lock files of other"
            " hosts when it releases the locks",
            details=_named(running, guests),
            work=_of_guests(changes, guests, ("save",)),
        )


def _running(changes: Sequence[HostChange], guests: Guests) -> list[str]:
    """The hosts on which guests of the system's libvirt run."""
    return sorted(
        host
        for change in changes
        for host in change.cell.hosts
        if _of_libvirt(guests, host, change.cell.facts.driver)
    )


def _of_libvirt(guests: Guests, host: str, driver: str) -> list[tuple[str, str]]:
    """The guests of a host that its libvirt can save and start, each with its driver. It does not
    know of those of a user's own libvirt, nor of QEMU without libvirt (LA111)."""
    found = [(guest, whose or driver) for guest, whose in guests.get(host, ())]
    return sorted(each for each in found if each[1] in _URIS)


def _named(hosts: Sequence[str], guests: Guests) -> list[str]:
    return [
        f"{host}: {', '.join(guest for guest, _ in _of_libvirt(guests, host, 'qemu'))}"
        for host in hosts
    ]


def _of_guests(
    changes: Sequence[HostChange], guests: Guests, doings: Sequence[Literal["save", "start"]]
) -> list[Work]:
    """The work that saves each running guest to disk with its memory, or starts it again from
    there. The guest is away for seconds, and comes back under the lock that is in force then."""
    found: list[Work] = []
    drivers = {host: change.cell.facts.driver for change in changes for host in change.cell.hosts}
    for host in _running(changes, guests):
        for guest, driver in _of_libvirt(guests, host, drivers[host]):
            for do in doings:
                command = [
                    *("virsh", "-c", _URIS[driver], "managedsave" if do == "save" else "start"),
                    *("--domain", guest),
                ]
                found.append(Work(do, [host], [shlex.join(command)], {"guest": guest}))
    return found


_URIS: Final = {"qemu": "qemu:///system", "libxl": "xen:///system"}


def _alike(
    changes: Sequence[HostChange], details_of: Callable[[HostChange], Iterable[str]]
) -> list[tuple[tuple[str, ...], list[str]]]:
    """Hosts with the same needs, together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for change in changes:
        details = tuple(details_of(change))
        if details:
            found.setdefault(details, []).extend(change.cell.hosts)
    return [(details, sorted(hosts)) for details, hosts in sorted(found.items())]


def _mounts(name: str, changes: Sequence[HostChange], *, gap: bool = False) -> Iterator[Step]:
    """A step for the mounts of hosts with the same needs."""
    mounts = {each.shown: each for change in changes for each in change.mounts}
    for details, hosts in _alike(changes, lambda change: (each.shown for each in change.mounts)):
        yield Step(
            name,
            "mount",
            hosts,
            "mount the file systems with these directories, and add them to fstab",
            details=details,
            work=[mounts[each].work(hosts) for each in details],
            gap=gap,
        )


def _makes(
    name: str,
    changes: Sequence[HostChange],
    of: Callable[[HostChange], Mapping[str, str]],
    *,
    gap: bool = False,
) -> Iterator[Step]:
    """A step for directories that are missing on file systems that are mounted, or may be: ``of``
    tells them, with their mount points."""
    points = {path: point for change in changes for path, point in of(change).items()}
    for details, hosts in _alike(changes, lambda change: sorted(of(change))):
        yield Step(
            name,
            "mount",
            hosts,
            "make these directories if they are missing, on the file systems that are mounted"
            " there",
            details=details,
            work=[_make(hosts, each, points[each]) for each in details],
            gap=gap,
        )


def _make(hosts: Sequence[str], path: str, point: str) -> Work:
    """A command that makes a directory, and not below a mount point where nothing is mounted."""
    command = f"mountpoint -q {shlex.quote(point)} && mkdir -p -m 0700 {shlex.quote(path)}"
    return Work("run", hosts, [command], {"command": ["sh", "-c", command]})


def _installs(name: str, changes: Sequence[HostChange], *, gap: bool) -> Iterator[Step]:
    """A step for hosts without the programs that libvirt asks for the names of block devices."""
    for details, hosts in _alike(changes, lambda change: change.packages):
        yield Step(
            name,
            "install",
            hosts,
            "install the programs that name block devices; it takes effect at once",
            details=details,
            work=[_install(package, hosts) for package in dict.fromkeys(map(_package, details))],
            gap=gap,
        )


def _package(detail: str) -> str:
    return detail.partition(":")[0]


def _install(package: str, hosts: Sequence[str]) -> Work:
    """A command that installs packages, with whichever of the usual package managers exists."""
    command = (
        f"if command -v apt-get >/dev/null; then apt-get install -y {package};"
        f" elif command -v dnf >/dev/null; then dnf install -y {package};"
        f" else zypper --non-interactive install {package}; fi"
    )
    return Work("run", hosts, [command], {"command": ["sh", "-c", command]})


def _writes(name: str, changes: Sequence[HostChange]) -> Iterator[Step]:
    """A step for the changes of files on hosts with the same needs."""
    works = {tuple(_written(change)): _set(change) for change in changes}
    for details, hosts in _alike(changes, _written):
        commands, data = works[tuple(details)]
        yield Step(
            name,
            "write",
            hosts,
            "change the files; the change takes effect when a daemon restarts",
            details=details,
            work=[Work("set", hosts, commands, data)],
        )


def _written(change: HostChange) -> list[str]:
    """The changes of files on hosts, one line each."""
    return [
        f"{_file_of(change.cell.facts, key)}: {key} = {_spelled(new)} (now {_spelled(old)})"
        for key, (old, new) in sorted(change.settings.items())
    ]


def _set(change: HostChange) -> tuple[list[str], dict[str, object]]:
    """The changes as commands and as data; settings to unset come last."""
    driver = change.cell.facts.driver
    settings = sorted(change.settings.items())
    words = [word for key, (_, new) in settings if new is not None for word in (key, str(new))]
    unset = [key for key, (_, new) in settings if new is None]
    commands = [["lockcfg", "set", "--driver", driver, *words]] if words else []
    commands += [["lockcfg", "unset", "--driver", driver, *unset]] if unset else []
    return [shlex.join(command) for command in commands], {
        "changes": [
            {"file": _file_of(change.cell.facts, key), "key": key, "old": old, "value": new}
            for key, (old, new) in settings
        ]
    }


def _mixed(group: Group, changes: Sequence[HostChange]) -> list[str]:
    """Why changed hosts and unchanged hosts do not exclude each other."""
    found: list[str] = []
    stale = count_of([change.cell for change in changes if change.cell.is_stale])
    if stale:
        found.append(
            f"{stale} of them now: unknown, as their files were changed after the daemon started"
        )
    kinds = set(group.kinds)
    if any(change.packages for change in changes):
        kinds |= {"lvm", "scsi"}  # any other device without a name may be one, too
    for kind in DISK_KINDS:
        if kind not in kinds:
            continue
        before: dict[str, list[Cell]] = {}
        after: set[str] = set()
        for change in changes:
            domain = change.cell.domain(kind, frozenset())
            if domain is not None:
                before.setdefault(f"{domain.where}", []).append(change.cell)
                after.add(lock_place_after(change, group, kind) if change.moves else domain.where)
        if len(set(before) | after) > 1:
            found += [
                f"{kind}: {count_of(cells)} of them now: {where}"
                for where, cells in sorted(before.items())
            ]
            found += [f"{kind}: then: {where}" for where in sorted(after - set(before))]
    return found


def _restarts(name: str, changes: Sequence[HostChange], *, gap: bool) -> Iterator[Step]:
    """Steps that restart daemons, host by host: hosts without guests come first, as a mistake harms
    no guest there."""
    starting = sorted(h for change in changes if change.starts for h in change.cell.hosts)
    if starting:
        yield Step(
            name,
            "start",
            starting,
            "start the lock daemon and see that its socket is there before libvirt needs it",
            work=[_run(starting, "systemctl", "enable", "--now", "virtlockd.socket")],
        )
    restarting = sorted(
        (
            (running, host, change)
            for change in changes
            if change.restarts
            for host, running in zip(change.cell.hosts, change.cell.running, strict=True)
        ),
        key=lambda each: each[:2],
    )
    if restarting:
        yield Step(
            name,
            "restart",
            [host for _, host, _ in restarting],
            "restart libvirt's daemon on each, in this order; guests keep running. Never restart"
            " the lock daemon while guests run: their locks would be lost",
            work=[_restart(change.cell.facts.driver, host) for _, host, change in restarting],
            gap=gap,
        )


def _run(hosts: Sequence[str], *command: str) -> Work:
    return Work("run", hosts, [shlex.join(command)], {"command": list(command)})


def restart_command(driver: str) -> str:
    """A command that restarts the running one of two daemons, the driver's own and libvirtd. A
    daemon that does not run reads the files when its socket starts it, and the other one must not
    be started."""
    own = {"qemu": "virtqemud", "libxl": "virtxend"}[driver]
    return (
        f"for daemon in {own} libvirtd; do"
        " if systemctl is-active --quiet $daemon; then systemctl restart $daemon; fi; done"
    )


def _restart(driver: str, host: str) -> Work:
    command = restart_command(driver)
    return Work("run", [host], [command], {"command": ["sh", "-c", command]})


def _limits(name: str, changes: Sequence[HostChange]) -> Iterator[Step]:
    by_limit: dict[object, list[str]] = {}
    for change in changes:
        if change.limits and change.target["max_clients"] is not None:
            by_limit.setdefault(change.target["max_clients"], []).extend(change.cell.hosts)
    for limit, hosts in sorted(by_limit.items(), key=str):
        yield Step(
            name,
            "limit",
            sorted(hosts),
            "raise the limit of the lock daemon that runs: a reload does not",
            work=[
                _run(
                    sorted(hosts),
                    *("virt-admin", "-c", "virtlockd:///system", "srv-clients-set", "virtlockd"),
                    *("--max-clients", str(limit)),
                )
            ],
        )


def _guests(name: str, changes: Sequence[HostChange], guests: Guests) -> Iterator[Step]:
    """Steps for guests that still run under the locks that they were started with, and for guests
    that were saved to disk."""
    saved = [change for change in changes if change.remounts]
    waiting = _running(saved, guests)
    if waiting:
        yield Step(
            name,
            "guests",
            waiting,
            "start the guests that were saved to disk",
            details=_named(waiting, guests),
            work=_of_guests(saved, guests, ("start",)),
            gap=True,
        )
    renewing = [change for change in changes if change.renews and not change.remounts]
    running = _running(renewing, guests)
    if running:
        yield Step(
            name,
            "guests",
            running,
            "the running guests there have the old locks, or none: save each to disk and start it"
            " again, or move it away and back. Until then only the old lock keeps other guests from"
            " its disks: start none of them on another host",
            details=_named(running, guests),
            work=_of_guests(renewing, guests, ("save", "start")),
            gap=True,
        )


def _file_of(facts: Facts, key: str) -> str:
    return next(
        (kind.name for kind in kinds_of(facts.driver) if key in settings_of(kind)), "the file"
    )


def _spelled(value: Value | None) -> str:
    if value is None:
        return "not set"
    return f'"{value}"' if isinstance(value, str) else str(value)
