"""From here to the policy: what to change on which hosts, in which order.

Locks protect a disk while all hosts take the same one. So what every host needs is put in place
first, without effect; then no guest may start while hosts of the old and of the new kind are
mixed, as these do not exclude each other; and a guest that runs keeps the lock that it was started
with, wherever that is. What takes effect at once, as a mount does on a directory that is in use, or
a program that libvirt asks for names, waits until then. Pure: the fleet goes in, steps come out.
"""

from __future__ import annotations

import posixpath
import shlex

from lockcfg.conf.files import kinds_of
from lockcfg.conf.settings import settings_of
from lockcfg.fleet.comparison.fleet import Cell, count_of
from lockcfg.fleet.model.domains import domain_of
from lockcfg.fleet.model.facts import Directory
from lockcfg.fleet.model.locks import DISK_KINDS
from lockcfg.fleet.model.place import Location
from lockcfg.fleet.model.uses import use_after
from lockcfg.fleet.plan.mounting import mounting_of, place_at
from lockcfg.fleet.plan.steps import Step, Work
from lockcfg.host.host import LOCKSPACE_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Final, Literal

    from lockcfg.conf.document import Value
    from lockcfg.fleet.comparison.fleet import Fleet, Group
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.model.locks import Kind
    from lockcfg.fleet.plan.mounting import Mounting

    Guests = Mapping[str, Sequence[str]]


def steps_of(fleet: Fleet, guests: Guests) -> tuple[list[Step], dict[int, Cell]]:
    """The steps for the groups of the policy, in order, none where nothing is to be done; and what
    becomes of cells that they change, by the ``id`` of each. ``guests`` are the names of those that
    run, by host."""
    steps: list[Step] = []
    changed: dict[int, Cell] = {}
    for group in fleet.groups:
        if group.policy is None:
            continue
        changes = [_Change(cell, group) for cell in group.cells]
        found = list(_steps(fleet, group, changes, guests))
        steps += found
        if any(step.action == "check" for step in found):
            changed.update((id(change.cell), change.outcome) for change in changes)
    return steps, changed


class _Change:
    """What is to be changed on hosts that are alike."""

    def __init__(self, cell: Cell, group: Group) -> None:
        assert group.policy is not None
        self.cell: Final = cell
        now = cell.facts.settings
        changes = {
            key: (now.get(key), wanted)
            for key, wanted in group.policy.settings.items()
            if now.get(key) != wanted
        }
        #: What the policy asks for and no plan does: it would take protection away.
        self.refused: Final = {
            key: change for key, change in changes.items() if _weakens(key, *change)
        }
        self.settings: Final[dict[str, tuple[Value | None, Value | None]]] = {
            key: change for key, change in changes.items() if key not in self.refused
        }
        wanted = {**now, **{key: new for key, (_, new) in self.settings.items()}}
        self.target: Final[dict[str, Value | None]] = wanted
        self.group: Final = group
        #: How each lockspace gets to where the policy wants it, the same mount once.
        self.mountings: Final[list[Mounting]] = [
            mounting_of(cell, group.cells, str(wanted[setting]), place)
            for setting, place in sorted(group.policy.storage.items())
            if wanted.get(setting) and place_at(cell.facts, str(wanted[setting])) != place
        ]
        self.mounts: Final = list(
            {each.shown: each for each in self.mountings if not each.why}.values()
        )
        devices = any(kind in ("block", "lvm", "scsi") for kind in group.kinds)
        facts = cell.facts
        self.packages: Final[list[str]] = [
            f"{package}: {setting} has no effect without {program}"
            for setting, program, package, there in (
                ("lvm_lockspace_dir", "lvs", "lvm2", facts.lvs),
                ("scsi_lockspace_dir", "scsi_id", "udev", facts.scsi_id),
            )
            if devices and wanted.get(setting) and there is False
        ]

    @property
    def restarts(self) -> bool:
        """Whether libvirt's daemon has to read its files again."""
        return self.cell.is_stale or any(key != "max_clients" for key in self.settings)

    @property
    def starts(self) -> bool:
        """Whether a lock daemon is to be started."""
        return self.target["lock_manager"] == "lockd" and (
            "lock_manager" in self.settings or ("virtlockd",) in self.cell.about("absent")
        )

    @property
    def remounts(self) -> bool:
        """Whether something is to be mounted where locks are now: that takes effect at once."""
        return any(each.used or each.replaces for each in self.mounts)

    @property
    def limits(self) -> bool:
        """Whether the lock daemon that runs has another limit than it will be said to have."""
        return (
            "max_clients" in self.settings
            or bool(self.cell.about("limit"))
            or any(reader == "virtlockd" for _, reader in self.cell.about("stale"))
        )

    @property
    def moves(self) -> bool:
        """Whether locks will be somewhere else than before."""
        return bool(self.mounts or self.packages) or self.restarts

    @property
    def is_changed(self) -> bool:
        """Whether anything is to be done but to say what is not done."""
        unprotected = self.cell.about("late") or self.cell.facts.refused
        return bool(self.settings or unprotected) or self.moves or self.starts or self.limits

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.refused or self.mountings) or self.is_changed

    @property
    def renews(self) -> bool:
        """Whether guests that run are to be restarted, as they have another lock than they will
        be said to have, or none."""
        unlocked = any(use.held not in ("", "held", "unknown") for use in self.cell.uses)
        return self.moves or self.starts or bool(self.cell.about("late")) or unlocked

    @property
    def facts(self) -> Facts:
        """The facts of the hosts when all is done."""
        facts = self.cell.facts
        return facts.replace(
            settings=self.target,
            spaces=[
                _directory_at(self.group, setting, str(path), facts)
                for setting in LOCKSPACE_KEYS
                if (path := self.target.get(setting)) and self.target["lock_manager"] == "lockd"
            ],
            lvs=facts.lvs or any(each.startswith("lvm2") for each in self.packages) or facts.lvs,
            scsi_id=facts.scsi_id
            or any(each.startswith("udev") for each in self.packages)
            or facts.scsi_id,
        )

    @property
    def outcome(self) -> Cell:
        """What becomes of the hosts."""
        if not self.is_changed:
            return self.cell
        return _cell_after(
            self.cell,
            self.facts,
            restarts=self.restarts,
            limits=self.limits,
            starts=self.starts,
            guests=self.renews,
        )


def _cell_after(
    cell: Cell, facts: Facts, *, restarts: bool, limits: bool, starts: bool, guests: bool
) -> Cell:
    """Hosts when the plan is done: with ``facts``, and without what is said of daemons that it
    restarts or starts, of limits that it sets, and of guests that it restarts."""

    def stays(each: tuple[str, ...]) -> bool:
        word, *rest = each
        if word == "stale":
            return not (limits if rest[-1] == "virtlockd" else restarts)
        gone = {"limit": limits, "absent": starts, "late": guests}
        return not gone.get(word, False)

    uses = [use_after(facts, use, anew=guests) for use in cell.uses]
    circumstances = [each for each in cell.circumstances if stays(each)]
    after = Cell(cell.group, facts, circumstances, uses, cell.policy)
    after.hosts.extend(cell.hosts)
    after.running.extend(cell.running)
    return after


def _steps(
    fleet: Fleet, group: Group, changes: Sequence[_Change], guests: Guests
) -> Iterator[Step]:
    name = group.name
    unknown = _unknown(fleet, group)
    if not any(each.is_needed for each in changes) and not unknown:
        return
    yield from _mend(group)
    yield from _kept(name, changes)
    yield from _undecided(name, changes)
    if unknown:
        yield Step(
            name,
            "look",
            unknown,
            "nothing is known of these hosts, or not what holds now, and they may run guests that"
            " the others would not see: collect snapshots of them, or take them out of the policy"
            " if they are gone. There is no plan for this group before",
            work=[_collect(unknown)],
        )
        return
    if any(each.why for change in changes for each in change.mountings):
        return
    if not any(each.is_changed for each in changes):
        return
    yield from _mounts(name, [change for change in changes if not change.remounts])
    yield from _writes(name, changes)
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


def _unknown(fleet: Fleet, group: Group) -> list[str]:
    """The hosts of a group of which nothing is known, or nothing that holds now."""
    assert group.policy is not None
    of_policy = group.policy.hosts
    found = {host for host in fleet.missing if host in of_policy}
    found.update({*fleet.old, *fleet.ahead}.intersection(group.hosts))
    found.update(host for cell in group.cells if not cell.facts.live for host in cell.hosts)
    for problem in fleet.problems:
        name = problem.host or posixpath.basename(problem.source).partition(".json")[0]
        if name in of_policy:
            found.add(name)
    return sorted(found)


def _undecided(name: str, changes: Sequence[_Change]) -> Iterator[Step]:
    """Where nobody can say how a lockspace gets to its place without harm."""
    for details, hosts in _alike(
        changes, lambda change: (each.shown for each in change.mountings if each.why)
    ):
        yield Step(
            name,
            "decide",
            hosts,
            "these directories have to be elsewhere, and how to bring that about is for you to"
            " decide: nothing is mounted over what is in use. Then collect snapshots, and plan"
            " again",
            details=details,
        )


def _mend(group: Group) -> Iterator[Step]:
    refused = sorted(h for cell in group.cells if cell.facts.refused for h in cell.hosts)
    if refused:
        yield Step(
            group.name,
            "mend",
            refused,
            "libvirt does not start with the files there: correct them first, as it is not known"
            " what is in force",
        )


def _weakens(key: str, old: Value | None, new: Value | None) -> bool:
    """Whether a change takes protection away: a plan switches nothing off."""
    if key == "lock_manager":
        return old in ("lockd", "sanlock") and new in (None, "nop")
    if key in ("auto_disk_leases", "require_lease_for_disks"):
        return old == 1 and new == 0
    return key.endswith("_lockspace_dir") and old is not None and new is None


def _kept(name: str, changes: Sequence[_Change]) -> Iterator[Step]:
    """What stays, though the policy says otherwise."""
    for details, hosts in _alike(
        changes,
        lambda change: (
            f"{_file_of(change.cell.facts, key)}: {key} stays {_spelled(old)}, and not"
            f" {_spelled(new)}"
            for key, (old, new) in sorted(change.refused.items())
        ),
    ):
        yield Step(
            name,
            "decide",
            hosts,
            "the policy would take protection away here, which no plan does: correct the policy, or"
            " do it by hand",
            details=details,
        )


def _empty(name: str, changes: Sequence[_Change], guests: Guests) -> Iterator[Step]:
    """A lock daemon removes a lock's file by its path when it releases it: if something else is
    mounted there by then, it is the file of the host that the guest was moved to."""
    running = _running(changes)
    if running:
        yield Step(
            name,
            "empty",
            running,
            "put the guests that run there to disk, or move them away, before anything else is"
            " mounted where their locks are: their lock daemon would remove the lock files of other"
            " hosts when it releases the locks",
            details=_named(running, guests),
            work=_of_guests(changes, guests, ("save",)),
        )


def _running(changes: Sequence[_Change]) -> list[str]:
    """The hosts on which guests run."""
    return sorted(
        host
        for change in changes
        for host, running in zip(change.cell.hosts, change.cell.running, strict=True)
        if running
    )


def _named(hosts: Sequence[str], guests: Guests) -> list[str]:
    return [f"{host}: {', '.join(sorted(guests[host]))}" for host in hosts]


def _of_guests(
    changes: Sequence[_Change], guests: Guests, doings: Sequence[Literal["save", "start"]]
) -> list[Work]:
    """To put each guest that runs to disk, with all that is in its memory, or to go on with it from
    there: it is away for seconds, and comes back under the lock that is then in force."""
    found: list[Work] = []
    drivers = {host: change.cell.facts.driver for change in changes for host in change.cell.hosts}
    for host in _running(changes):
        uri = _URIS[drivers[host]]
        for guest in sorted(guests.get(host, ())):
            for do in doings:
                command = [
                    *("virsh", "-c", uri, "managedsave" if do == "save" else "start"),
                    *("--domain", guest),
                ]
                found.append(Work(do, [host], [shlex.join(command)], {"guest": guest}))
    return found


_URIS: Final = {"qemu": "qemu:///system", "libxl": "xen:///system"}


def _alike(
    changes: Sequence[_Change], details_of: Callable[[_Change], Iterable[str]]
) -> list[tuple[tuple[str, ...], list[str]]]:
    """The hosts that need something, together with those that need the same."""
    found: dict[tuple[str, ...], list[str]] = {}
    for change in changes:
        details = tuple(details_of(change))
        if details:
            found.setdefault(details, []).extend(change.cell.hosts)
    return [(details, sorted(hosts)) for details, hosts in sorted(found.items())]


def _mounts(name: str, changes: Sequence[_Change], *, gap: bool = False) -> Iterator[Step]:
    """What is to be mounted where, for hosts that need the same."""
    mounts = {each.shown: each for change in changes for each in change.mounts}
    for details, hosts in _alike(changes, lambda change: (each.shown for each in change.mounts)):
        yield Step(
            name,
            "mount",
            hosts,
            "mount what has these directories, and for good (fstab)",
            details=details,
            work=[mounts[each].work(hosts) for each in details],
            gap=gap,
        )


def _installs(name: str, changes: Sequence[_Change], *, gap: bool) -> Iterator[Step]:
    """What libvirt asks for the names of block devices, where it is missing."""
    for details, hosts in _alike(changes, lambda change: change.packages):
        yield Step(
            name,
            "install",
            hosts,
            "install what names block devices; it takes effect at once",
            details=details,
            work=[_install(package, hosts) for package in dict.fromkeys(map(_package, details))],
            gap=gap,
        )


def _package(detail: str) -> str:
    return detail.partition(":")[0]


def _install(package: str, hosts: Sequence[str]) -> Work:
    """By whichever of the usual programs there is."""
    command = (
        f"if command -v apt-get >/dev/null; then apt-get install -y {package};"
        f" elif command -v dnf >/dev/null; then dnf install -y {package};"
        f" else zypper --non-interactive install {package}; fi"
    )
    return Work("run", hosts, [command], {"command": ["sh", "-c", command]})


def _writes(name: str, changes: Sequence[_Change]) -> Iterator[Step]:
    """What is to be written where, for hosts that need the same."""
    works = {tuple(_written(change)): _set(change) for change in changes}
    for details, hosts in _alike(changes, _written):
        commands, data = works[tuple(details)]
        yield Step(
            name,
            "write",
            hosts,
            "change the files; nothing takes effect by it, as long as no daemon is restarted",
            details=details,
            work=[Work("set", hosts, commands, data)],
        )


def _written(change: _Change) -> list[str]:
    """What is to be written on hosts, in a line each."""
    return [
        f"{_file_of(change.cell.facts, key)}: {key} = {_spelled(new)} (now {_spelled(old)})"
        for key, (old, new) in sorted(change.settings.items())
    ]


def _set(change: _Change) -> tuple[list[str], dict[str, object]]:
    """The same as commands and as data: what is to be unset comes last."""
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


def _mixed(group: Group, changes: Sequence[_Change]) -> list[str]:
    """Why hosts that are done and hosts that are not do not exclude each other."""
    found: list[str] = []
    stale = count_of([change.cell for change in changes if change.cell.is_stale])
    if stale:
        found.append(
            f"{stale} of them now: as files say that were changed since, nobody knows what"
        )
    kinds = set(group.kinds)
    if any(change.packages for change in changes):
        kinds |= {"lvm", "scsi"}  # what else seems to be a device without a name may be one
    for kind in DISK_KINDS:
        if kind not in kinds:
            continue
        before: dict[str, list[Cell]] = {}
        after: set[str] = set()
        for change in changes:
            domain = change.cell.domain(kind, frozenset())
            if domain is not None:
                before.setdefault(f"{domain.where}", []).append(change.cell)
                after.add(_after(change, group, kind) if change.moves else domain.where)
        if len(set(before) | after) > 1:
            found += [
                f"{kind}: {count_of(cells)} of them now: {where}"
                for where, cells in sorted(before.items())
            ]
            found += [f"{kind}: then: {where}" for where in sorted(after - set(before))]
    return found


def _after(change: _Change, group: Group, kind: Kind) -> str:
    """Where a host will lock."""
    assert group.policy is not None
    spaces: dict[str, Location] = {}
    for setting in LOCKSPACE_KEYS:
        path = change.target.get(setting)
        if path:
            spaces[setting] = _place_of(group, setting, str(path))
    locking = change.cell.facts.locking.replace(
        manager=str(change.target["lock_manager"]),
        auto=change.target["auto_disk_leases"] == 1,
        require=change.target["require_lease_for_disks"] == 1,
        spaces=spaces,
        paths={setting: str(change.target[setting]) for setting in spaces},
        lvs=change.cell.facts.lvs is not None or None,
        scsi_id=change.cell.facts.scsi_id is not None or None,
    )
    facts = change.cell.facts
    domain = domain_of(
        locking,
        kind,
        images=[storage.place for storage in facts.storages],
        leases=[lease.place for lease in facts.leases],
    )
    return domain.where if domain else "nothing"


def _place_of(group: Group, setting: str, path: str) -> Location:
    """Where a lockspace will be: where the policy says, or where most hosts have that path."""
    assert group.policy is not None
    known = [
        (len(cell.hosts), space.place.shown, space.place)
        for cell in group.cells
        for space in cell.facts.spaces
        if space.path == path and space.place.system
    ]
    wanted = group.policy.storage.get(setting)
    fitting = [each for each in known if wanted in (None, each[1])]
    if fitting:
        return max(fitting, key=lambda each: each[:2])[2]
    return Location("", wanted or path, None, "unknown", "a file system that nobody has seen yet")


def _directory_at(group: Group, setting: str, path: str, facts: Facts) -> Directory:
    """What a host sees of a lockspace when all is done: as it sees it now, where that is where the
    policy wants it, or as another host of the group does."""
    assert group.policy is not None
    wanted = group.policy.storage.get(setting)
    own = [*facts.spaces, *facts.spare, *facts.storages]
    others = [each for cell in group.cells for each in (*cell.facts.spaces, *cell.facts.spare)]
    for each in (*own, *others):
        fits = each.place.shown == wanted if wanted else each.path == path and each in own
        if fits and each.state == "there":
            return each.replace(setting=setting, path=path)
    place = _place_of(group, setting, path)
    return Directory(path, place, setting=setting, state="unknown")


def _restarts(name: str, changes: Sequence[_Change], *, gap: bool) -> Iterator[Step]:
    """Host by host: those without guests first, as they are free to be wrong."""
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


def _restart(driver: str, host: str) -> Work:
    """The daemon that runs, of the driver's own and of libvirtd."""
    own = {"qemu": "virtqemud", "libxl": "virtxend"}[driver]
    command = (
        f"if systemctl is-active --quiet {own}; then systemctl restart {own};"
        " else systemctl restart libvirtd; fi"
    )
    return Work("run", [host], [command], {"command": ["sh", "-c", command]})


def _limits(name: str, changes: Sequence[_Change]) -> Iterator[Step]:
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


def _guests(name: str, changes: Sequence[_Change], guests: Guests) -> Iterator[Step]:
    """The guests that go on under the locks that they were started with, and those that were put
    to disk."""
    saved = [change for change in changes if change.remounts]
    waiting = _running(saved)
    if waiting:
        yield Step(
            name,
            "guests",
            waiting,
            "go on with the guests that were put to disk",
            details=_named(waiting, guests),
            work=_of_guests(saved, guests, ("start",)),
            gap=True,
        )
    renewing = [change for change in changes if change.renews and not change.remounts]
    running = _running(renewing)
    if running:
        yield Step(
            name,
            "guests",
            running,
            "all guests that run there run under the old locks, or none: put each to disk and go on"
            " with it, or move it away and back. Until then nothing but the old lock keeps others"
            " from its disks: start none of them anywhere else",
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
