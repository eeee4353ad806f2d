"""From here to the policy: what to change on which hosts, in which order.

Locks protect a disk while all hosts take the same one. So what every host needs is put in place
first, without effect; then no guest may start while hosts of the old and of the new kind are
mixed, as these do not exclude each other; and a guest that runs keeps the lock that it was started
with, wherever that is. What takes effect at once, as a mount does on a directory that is in use, or
a program that libvirt asks for names, waits until then. Pure: the fleet goes in, steps come out.
"""

from __future__ import annotations

from lockcfg.conf.files import kinds_of
from lockcfg.conf.settings import settings_of
from lockcfg.fleet.comparison.fleet import count_of
from lockcfg.fleet.model.domains import domain_of
from lockcfg.fleet.model.locks import KINDS
from lockcfg.fleet.model.place import Place
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.fleet.comparison.fleet import Cell, Fleet, Group
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.model.locks import Kind

    Guests = Mapping[str, Sequence[str]]

#: The settings that name lockspaces.
_SPACES: Final = ("file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir")


class Step(Frozen):
    """A step of the plan for a ``group``: an ``action`` (``mend``, decide, mount, write, hold,
    empty, install, start, restart, limit, guests, release, check), the ``hosts`` it is for, what to
    do in ``text``, and the ``details``, such as commands. ``gap`` is whether hosts are mixed when
    it is done, so that two of them would let two guests write one disk."""

    __slots__ = ("action", "details", "gap", "group", "hosts", "text")

    def __init__(
        self,
        group: str,
        action: str,
        hosts: Sequence[str],
        text: str,
        *,
        details: Sequence[str] = (),
        gap: bool = False,
    ) -> None:
        self.group: Final = group
        self.action: Final = action
        self.hosts: Final = tuple(hosts)
        self.text: Final = text
        self.details: Final = tuple(details)
        self.gap: Final = gap


def plan_of(fleet: Fleet, guests: Guests) -> list[Step]:
    """The steps for each group of the policy, in order; none where nothing is to be done.
    ``guests`` are the names of those that run, by host."""
    return [step for group in fleet.groups if group.policy for step in _steps(group, guests)]


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
        self.mounts: Final[list[tuple[str, str]]] = [
            (str(wanted[setting]), place)
            for setting, place in sorted(group.policy.storage.items())
            if wanted.get(setting) and _place_at(cell.facts, str(wanted[setting])) != place
        ]
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
    def is_stale(self) -> bool:
        """Whether libvirt's daemon has in force what nobody knows, as its files are newer."""
        return any(reader != "virtlockd" for _, reader in self.cell.about("stale"))

    @property
    def restarts(self) -> bool:
        """Whether libvirt's daemon has to read its files again."""
        return self.is_stale or any(key != "max_clients" for key in self.settings)

    @property
    def starts(self) -> bool:
        """Whether a lock daemon is to be started."""
        return self.target["lock_manager"] == "lockd" and (
            "lock_manager" in self.settings or ("virtlockd",) in self.cell.about("absent")
        )

    @property
    def remounts(self) -> bool:
        """Whether something is to be mounted where locks are now: that takes effect at once."""
        in_use = {space.path for space in self.cell.facts.spaces}
        return any(path in in_use for path, _ in self.mounts)

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
        return bool(self.refused) or self.is_changed


def _steps(group: Group, guests: Guests) -> Iterator[Step]:
    name = group.name
    changes = [_Change(cell, group) for cell in group.cells]
    if not any(each.is_needed for each in changes):
        return
    yield from _mend(group)
    yield from _kept(name, changes)
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
            "from here on no guest may be started, resumed or moved in this group: until all of"
            " it is done, hosts of the old and of the new kind do not exclude each other",
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
            "guests may be started again, but for those that run under old locks on other hosts"
            " than they run on",
        )
    yield Step(name, "check", group.hosts, "collect snapshots of all hosts again, and audit them")


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
            "stop the guests that run there, or move them away, before anything else is mounted"
            " where their locks are: their lock daemon would remove the lock files of other hosts"
            " when it releases the locks",
            details=_named(running, guests),
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
    for details, hosts in _alike(
        changes, lambda change: (f"at {path}: {place}" for path, place in change.mounts)
    ):
        yield Step(
            name,
            "mount",
            hosts,
            "mount what has these directories, and for good (fstab)",
            details=details,
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
            gap=gap,
        )


def _writes(name: str, changes: Sequence[_Change]) -> Iterator[Step]:
    """What is to be written where, for hosts that need the same."""
    for details, hosts in _alike(
        changes,
        lambda change: (
            f"{_file_of(change.cell.facts, key)}: {key} = {_spelled(new)} (now {_spelled(old)})"
            for key, (old, new) in sorted(change.settings.items())
        ),
    ):
        yield Step(
            name,
            "write",
            hosts,
            "change the files; nothing takes effect by it, as long as no daemon is restarted",
            details=details,
        )


def _mixed(group: Group, changes: Sequence[_Change]) -> list[str]:
    """Why hosts that are done and hosts that are not do not exclude each other."""
    found: list[str] = []
    stale = count_of([change.cell for change in changes if change.is_stale])
    if stale:
        found.append(
            f"{stale} of them now: as files say that were changed since, nobody knows what"
        )
    kinds = set(group.kinds)
    if any(change.packages for change in changes):
        kinds |= {"lvm", "scsi"}  # what else seems to be a device without a name may be one
    for kind in KINDS:
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
    spaces: dict[str, Place] = {}
    for setting in _SPACES:
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


def _place_of(group: Group, setting: str, path: str) -> Place:
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
    return Place("", wanted or path, None, "unknown", "a file system that nobody has seen yet")


def _place_at(facts: Facts, path: str) -> str | None:
    """Where a directory of a host is; None where that is not known."""
    for directory in (*facts.spaces, *facts.spare, *facts.storages):
        if directory.path == path and directory.state == "there":
            return directory.place.shown if directory.place.system else None
    return None


def _restarts(name: str, changes: Sequence[_Change], *, gap: bool) -> Iterator[Step]:
    """Host by host: those without guests first, as they are free to be wrong."""
    starting = sorted(h for change in changes if change.starts for h in change.cell.hosts)
    if starting:
        yield Step(
            name,
            "start",
            starting,
            "start the lock daemon and see that its socket is there before libvirt needs it",
            details=["systemctl enable --now virtlockd.socket"],
        )
    restarting = sorted(
        (running, host)
        for change in changes
        if change.restarts
        for host, running in zip(change.cell.hosts, change.cell.running, strict=True)
    )
    if restarting:
        yield Step(
            name,
            "restart",
            [host for _, host in restarting],
            "restart libvirt's daemon on each, in this order; guests keep running. Never restart"
            " the lock daemon while guests run: their locks would be lost",
            details=["systemctl restart libvirtd (or virtqemud)"],
            gap=gap,
        )


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
            details=[
                f"virt-admin -c virtlockd:///system srv-clients-set virtlockd --max-clients {limit}"
            ],
        )


def _guests(name: str, changes: Sequence[_Change], guests: Guests) -> Iterator[Step]:
    """The guests that go on under the locks that they were started with."""
    running = _running(
        [
            change
            for change in changes
            if (change.moves or change.starts or change.cell.about("late")) and not change.remounts
        ]
    )
    if running:
        yield Step(
            name,
            "guests",
            running,
            "all guests that run there run under the old locks, or none: stop and start each, or"
            " move it away and back. Until then nothing but the old lock keeps others from its"
            " disks: start none of them anywhere else",
            details=_named(running, guests),
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
