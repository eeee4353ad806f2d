"""Finds what a policy changes on hosts that are alike, and what becomes of the hosts. Pure."""

from __future__ import annotations

from lockcfg.fleet.comparison.groups import Cell
from lockcfg.fleet.model.domains import domain_of
from lockcfg.fleet.model.facts import Directory
from lockcfg.fleet.model.place import Location
from lockcfg.fleet.model.uses import use_after
from lockcfg.fleet.plan.mounting import is_muted, mounting_of, place_at, point_of, to_make, unmuted
from lockcfg.host.host import LOCKSPACE_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.fleet.comparison.groups import Group
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.model.locks import Kind
    from lockcfg.fleet.plan.mounting import Mounting


class HostChange:
    """What to change on hosts that are alike."""

    def __init__(self, cell: Cell, group: Group) -> None:
        assert group.policy is not None
        self.cell: Final = cell
        now = cell.facts.settings
        changes = {
            key: (now.get(key), wanted)
            for key, wanted in group.policy.settings.items()
            if now.get(key) != wanted
        }
        #: Settings that the policy asks for and the plan leaves out: they would take protection
        #: away.
        self.refused: Final = {
            key: change for key, change in changes.items() if _weakens(key, *change)
        }
        # The others are for the lock manager that the policy wants, which the host does not get.
        _, manager = self.refused.get("lock_manager", (None, None))
        others = {} if manager in ("lockd", "sanlock") else changes
        self.settings: Final[dict[str, tuple[Value | None, Value | None]]] = {
            key: change for key, change in others.items() if key not in self.refused
        }
        wanted = {**now, **{key: new for key, (_, new) in self.settings.items()}}
        self.target: Final[dict[str, Value | None]] = wanted
        self.group: Final = group
        storage = group.policy.storage
        is_used = wanted.get("lock_manager") == "lockd"
        own = [
            each
            for each in cell.facts.spaces
            if is_used
            and each.path == wanted.get(each.setting)
            and each.place.system
            and storage.get(each.setting) in (None, each.place.shown)
        ]
        muted = {each.setting: each.place.shown for each in own if is_muted(each)}
        #: How each lockspace gets to the place that the policy wants, each mount once: also if it
        #: is there, and mounted so that its locks stay on the host.
        self.mountings: Final[list[Mounting]] = [
            mounting_of(cell, group.cells, str(wanted[setting]), place)
            for setting, place in sorted({**storage, **muted}.items())
            if wanted.get(setting)
            and (setting in muted or place_at(cell.facts, str(wanted[setting])) != place)
        ]
        #: Lockspaces that are not there, on file systems that are, each with its mount point.
        self.missing: Final = {
            each.path: point_of(each)
            for each in own
            if each.state == "missing" and not is_muted(each)
        }
        mounted = {each.path for each in self.mountings}
        everywhere = [other.facts for other in group.cells]
        #: The same of lockspaces that may not be there: a snapshot tells it only of those that are
        #: configured.
        self.unseen: Final = {
            path: point
            for setting, (_, new) in self.settings.items()
            if is_used
            and setting in LOCKSPACE_KEYS
            and (path := str(new or ""))
            and path not in mounted
            if (point := to_make(cell.facts, path, everywhere)) is not None
        }
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
        """Whether libvirt's daemon must read its files again."""
        return self.cell.is_stale or any(key != "max_clients" for key in self.settings)

    @property
    def starts(self) -> bool:
        """Whether the plan starts a lock daemon."""
        return self.target["lock_manager"] == "lockd" and (
            "lock_manager" in self.settings
            or ("virtlockd",) in self.cell.about("absent")
            or bool(self.cell.about("asleep"))
        )

    @property
    def remounts(self) -> bool:
        """Whether the plan mounts something over a directory with locks: that takes effect at
        once."""
        return any(each.used or each.replaces for each in self.mounts)

    @property
    def limits(self) -> bool:
        """Whether the running lock daemon has another limit than the files will set."""
        return (
            "max_clients" in self.settings
            or bool(self.cell.about("limit"))
            or any(reader == "virtlockd" for _, reader in self.cell.about("stale"))
        )

    @property
    def moves(self) -> bool:
        """Whether locks will be in another place than before."""
        return bool(self.mounts or self.packages) or self.restarts

    @property
    def is_changed(self) -> bool:
        """Whether the plan changes anything."""
        unprotected = self.cell.about("late") or self.cell.facts.refused
        done = self.settings or unprotected or self.has_other_locks
        return bool(done or self.missing) or self.moves or self.starts or self.limits

    @property
    def has_other_locks(self) -> bool:
        """Whether a running guest has another lock than the configuration means, or none."""
        return any(use.held not in ("", "held", "unknown") for use in self.cell.uses)

    @property
    def is_needed(self) -> bool:
        """Whether the plan needs any step for these hosts."""
        return bool(self.refused or self.mountings) or self.is_changed

    @property
    def renews(self) -> bool:
        """Whether running guests must be restarted, because their lock is missing or is not the
        planned one."""
        late = bool(self.cell.about("late"))
        return self.moves or self.starts or late or self.has_other_locks

    @property
    def facts(self) -> Facts:
        """The facts of the hosts after the plan."""
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
        """The cell of the hosts after the plan."""
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
    """The hosts after the plan: with ``facts``, and without circumstances of daemons that it
    restarts or starts, of limits that it sets, and of guests that it restarts."""

    def stays(each: tuple[str, ...]) -> bool:
        word, *rest = each
        if word == "stale":
            return not (limits if rest[-1] == "virtlockd" else restarts)
        gone = {"limit": limits, "absent": starts, "asleep": starts, "late": guests}
        return not gone.get(word, False)

    uses = [use_after(facts, use, anew=guests) for use in cell.uses]
    circumstances = [each for each in cell.circumstances if stays(each)]
    after = Cell(cell.group, facts, circumstances, uses, cell.policy)
    after.hosts.extend(cell.hosts)
    after.running.extend(cell.running)
    return after


def _weakens(key: str, old: Value | None, new: Value | None) -> bool:
    """Whether a change takes protection away. A plan switches nothing off."""
    if key == "lock_manager":
        # Two lock managers do not see each other's locks: a person decides when to change one.
        return old in ("lockd", "sanlock") and new != old
    if key in ("auto_disk_leases", "require_lease_for_disks"):
        return old == 1 and new == 0
    return key.endswith("_lockspace_dir") and old is not None and new is None


def lock_place_after(change: HostChange, group: Group, kind: Kind) -> str:
    """The place where a host will lock."""
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
    """The place of a lockspace after the plan: the one in the policy, or the one that most hosts
    have at that path."""
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
        place = max(fitting, key=lambda each: (each[2].carries != "no", *each[:2]))[2]
        return (
            place
            if place.carries != "no"
            else place.replace(carries="yes", why="it, mounted again")
        )
    return Location("", wanted or path, None, "unknown", "a file system that no host has seen yet")


def _directory_at(group: Group, setting: str, path: str, facts: Facts) -> Directory:
    """A lockspace after the plan, as a host sees it: as it sees it now if the place is right, or
    else as another host of the group sees it."""
    assert group.policy is not None
    wanted = group.policy.storage.get(setting)
    own = [*facts.spaces, *facts.spare, *facts.storages]
    others = [each for cell in group.cells for each in (*cell.facts.spaces, *cell.facts.spare)]
    for each in (*own, *others):
        fits = each.place.shown == wanted if wanted else each.path == path and each in own
        if fits and each.state == "there" and not is_muted(each):
            return each.replace(setting=setting, path=path)
    place = _place_of(group, setting, path)
    for each in own:
        if each.path == path and each.place.shown == place.shown and not each.place.local:
            # What the plan makes, or mounts in another way.
            return each.replace(setting=setting, place=place, state="there", options=unmuted(each))
    return Directory(path, place, setting=setting, state="unknown")
