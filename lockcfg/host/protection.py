"""The verdict on one host: what is locked, where, and against whom that protects.

Pure: the configuration and what the lockspaces are on go in, words come out.
"""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    from lockcfg.host.host import Configuration, Locking
    from lockcfg.host.storage import Shared, Storage

    #: none: nothing is locked. leases: only what a guest's own <lease> elements name.
    #: this-host: between guests of this host. depends: on the file system of each image.
    #: unknown: one host cannot tell. between-hosts: with all hosts of the same settings and
    #: storage. other: another lock manager is in charge, which lockcfg does not judge.
    Level = Literal["none", "leases", "this-host", "depends", "unknown", "between-hosts", "other"]


class Reach(Frozen):
    """How far the locks of one kind of disk reach. ``text`` says it as one sentence."""

    __slots__ = ("disk", "level", "text")

    def __init__(self, disk: str, level: Level, text: str) -> None:
        self.disk: Final = disk
        self.level: Final = level
        self.text: Final = text


class Protection(Frozen):
    """The verdict: the ``level`` of the host, one sentence, and one for each kind of disk."""

    __slots__ = ("level", "reaches", "summary")

    def __init__(self, level: Level, summary: str, reaches: tuple[Reach, ...] = ()) -> None:
        self.level: Final = level
        self.summary: Final = summary
        self.reaches: Final = reaches


def locks_disks(configuration: Configuration) -> bool:
    """Whether libvirt, so configured, locks disks or refuses guests whose disks it would not."""
    manager = configuration.lock_manager
    return manager == "sanlock" or (manager == "lockd" and not leaves_disks(configuration))


def leaves_disks(configuration: Configuration) -> bool:
    """Whether lockd, so configured, starts guests without any lock on their disks."""
    return not configuration.auto_disk_leases and not configuration.require_lease_for_disks


def protection_of(configuration: Configuration, storages: Mapping[str, Storage]) -> Protection:
    """The verdict on a host. ``storages`` holds, by directory, what each lockspace is on."""
    manager = configuration.lock_manager
    file = configuration.documents["driver"].kind.name
    if manager == "nop":
        where = configuration.effective("lock_manager").place
        why = f"lock_manager is nop ({where})" if where else f"{file} sets no lock_manager"
        return Protection(
            "none", f"Nothing is locked: {why}. Two guests can write one disk at the same time."
        )
    if manager != "lockd":
        return Protection(
            "other", f"{manager} locks the disks of guests. lockcfg does not judge its settings."
        )
    if leaves_disks(configuration):
        return Protection(
            "none",
            "Nothing is locked but what a guest names in <lease> elements: auto_disk_leases and"
            " require_lease_for_disks are both 0. Two guests can write one disk at the same time.",
        )
    if not configuration.auto_disk_leases:
        return Protection(
            "leases",
            "Disks are not locked themselves (auto_disk_leases = 0): a guest must name its locks"
            " in <lease> elements, and one with writable disks and without any is refused.",
        )
    reaches = tuple(_reach(locking, storages) for locking in configuration.locking)
    level = min((reach.level for reach in reaches), key=_ORDER.index)
    return Protection(level, _SUMMARIES[level], reaches)


_ORDER: Final[tuple[Level, ...]] = ("none", "this-host", "unknown", "depends", "between-hosts")

_LEVELS: Final[dict[Shared, Level]] = {
    "yes": "between-hosts",
    "no": "this-host",
    "unknown": "unknown",
}

_SUMMARIES: Final[dict[Level, str]] = {
    "this-host": "Disks are locked, but not all of them against guests on other hosts.",
    "unknown": "Disks are locked; whether other hosts see all the locks, this host cannot tell.",
    "depends": "Disks are locked; whether other hosts see it depends on where each disk is.",
    "between-hosts": "Disks are locked against guests on every host that mounts the same"
    " lockspaces and has the same settings.",
}


def _reach(locking: Locking, storages: Mapping[str, Storage]) -> Reach:
    disk = locking.disk[0].upper() + locking.disk[1:]
    if locking.mode == "direct":
        if locking.disk == "image files":
            return Reach(
                locking.disk,
                "depends",
                f"{disk} are locked themselves (direct): other hosts see it where the file"
                " system of the image carries locks.",
            )
        return Reach(
            locking.disk,
            "this-host",
            f"{disk} are locked themselves (direct): locks on a device node do not reach other"
            " hosts.",
        )
    text = f"{disk} are locked by {locking.named_by}, in {locking.lockspace} (indirect)"
    storage = storages.get(locking.lockspace or "")
    level: Level = "unknown"
    if storage is None:
        text += "."
    else:
        missing = "" if storage.exists else ", a directory that does not exist yet"
        text += f"{missing}, on {storage.reason}"
        text += ": other hosts do not see the locks." if storage.shared == "no" else "."
        level = _LEVELS[storage.shared]
    if locking.fallback is not None:
        text += f" Where that is not to be had, {_fallback(locking.fallback)}, silently."
    return Reach(locking.disk, level, text)


def _fallback(locking: Locking) -> str:
    if locking.mode == "direct":
        return "the device itself is locked"
    return f"{locking.named_by} in {locking.lockspace} is taken"
