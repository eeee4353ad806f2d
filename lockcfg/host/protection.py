"""The verdict on one host: what is locked, where, and against which guests that protects.

Pure: it turns the configuration and the file systems of the lockspaces into words.
"""

from __future__ import annotations

from lockcfg.conf.settings import settings_of
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    from lockcfg.host.host import Configuration, Locking
    from lockcfg.host.storage import Shared, Storage
    from lockcfg.host.watchdog import Watchdog

    #: none: nothing is locked. leases: only what a guest's own <lease> elements name. this-host:
    #: guests of this host exclude each other. depends: on the file system of each image. unknown:
    #: one host cannot tell. between-hosts: guests of all hosts with the same settings and storage
    #: exclude each other. other: another lock manager is in use, which lockcfg does not judge.
    #: refused: libvirt does not start with these files, and no guest does.
    Level = Literal[
        "refused",
        "none",
        "leases",
        "this-host",
        "depends",
        "unknown",
        "between-hosts",
        "other",
    ]


class Reach(Frozen):
    """How far the locks of some kinds of disk, ``disks``, reach. ``text`` says it in words."""

    __slots__ = ("disks", "level", "text")

    def __init__(self, disks: tuple[str, ...], level: Level, text: str) -> None:
        self.disks: Final = disks
        self.level: Final = level
        self.text: Final = text


class Protection(Frozen):
    """The verdict: the ``level`` of the host, one sentence, and more for each way of locking."""

    __slots__ = ("level", "reaches", "summary")

    def __init__(self, level: Level, summary: str, reaches: tuple[Reach, ...] = ()) -> None:
        self.level: Final = level
        self.summary: Final = summary
        self.reaches: Final = reaches


def locks_disks(configuration: Configuration) -> bool:
    """Whether libvirt, so configured, locks disks or refuses guests whose disks it would not
    lock."""
    manager = configuration.lock_manager
    if manager == "sanlock":
        of_sanlock = configuration.of_sanlock
        return 1 in (
            of_sanlock("auto_disk_leases").value,
            of_sanlock("require_lease_for_disks").value,
        )
    return manager == "lockd" and not leaves_disks(configuration)


def leaves_disks(configuration: Configuration) -> bool:
    """Whether lockd, so configured, starts guests without any lock on their disks."""
    return not configuration.auto_disk_leases and not configuration.require_lease_for_disks


def refused(reason: str) -> Protection:
    """The verdict on a host whose libvirt does not start. ``reason`` says why and where."""
    return Protection(
        "refused",
        f"libvirt does not start with these files, and no guest does: {reason}. The guests that"
        " run keep the locks that they have.",
    )


def protection_of(
    configuration: Configuration,
    storages: Mapping[str, Storage],
    watchdog: Watchdog | None = None,
    release: tuple[int, ...] | None = None,
) -> Protection:
    """The verdict on a host. ``storages`` maps each lockspace directory to what it is on.
    ``watchdog`` is what is known of the watchdog of a host with sanlock, ``release`` the release of
    its libvirt."""
    for document in configuration.in_use():
        known = settings_of(document.kind)
        in_force = {e.key: e for e in reversed(document.entries) if e.key in known}
        for key, entry in in_force.items():
            objection = known[key].objection(entry.value, entry.literal, release)
            if objection and objection.refused:
                return refused(f"{document.place_of(entry)}: {objection.message}")
    manager = configuration.lock_manager
    file = configuration.documents["driver"].kind.name
    if manager == "nop":
        where = configuration.effective("lock_manager").place
        why = f"lock_manager is nop ({where})" if where else f"{file} sets no lock_manager"
        return Protection(
            "none", f"Nothing is locked: {why}. Two guests can write one disk at the same time."
        )
    if manager == "sanlock":
        return _of_sanlock(configuration, storages, watchdog)
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
    ways: dict[tuple[Level, str], list[str]] = {}
    for locking in configuration.locking:
        ways.setdefault(_reach(locking, storages), []).append(locking.disk)
    reaches = tuple(
        Reach(tuple(disks), level, f"{_sentence_start(disks)} {text}")
        for (level, text), disks in ways.items()
    )
    levels = {reach.level for reach in reaches}
    level = min(levels, key=_ORDER.index)
    if levels == {"this-host"}:
        summary = (
            "Disks are locked against other guests of this host only: guests on other hosts are"
            " not kept out."
        )
    else:
        summary = _SUMMARIES[level]
    return Protection(level, summary, reaches)


def _of_sanlock(
    configuration: Configuration, storages: Mapping[str, Storage], watchdog: Watchdog | None
) -> Protection:
    """The verdict if sanlock is the lock manager. sanlock keeps its leases in blocks that it reads
    and writes in the lease directory. So it counts which hosts share that directory, and that no
    two of them have the same number."""
    of_sanlock = configuration.of_sanlock
    directory = str(of_sanlock("disk_lease_dir").value)
    number = of_sanlock("host_id").value
    if of_sanlock("auto_disk_leases").value != 1:
        if of_sanlock("require_lease_for_disks").value != 1:
            return Protection(
                "none",
                "Nothing is locked but what a guest names in <lease> elements: sanlock's"
                " auto_disk_leases and require_lease_for_disks are both 0. Two guests can write one"
                " disk at the same time.",
            )
        return Protection(
            "leases",
            "sanlock locks no disks themselves (its auto_disk_leases is 0): a guest must name its"
            " locks in <lease> elements, as those of oVirt do, and one with writable disks and"
            " without any is refused.",
        )
    if not number:
        return Protection(
            "refused",
            "libvirt does not start: sanlock's auto_disk_leases is 1 and no host_id is set.",
        )
    storage = storages.get(directory)
    reason = f", on {storage.reason}" if storage is not None else ""
    level: Level = "unknown"
    if storage is not None and storage.shared == "yes":
        level = "between-hosts"
    elif storage is not None and storage.local:
        level = "this-host"
    others = {
        "between-hosts": "Other hosts are kept out if they use sanlock with the same directory and"
        " each has a host_id of its own; hosts with lockd are not.",
        "this-host": "Guests on other hosts are not kept out.",
        "unknown": "Whether other hosts share the directory, this host cannot tell; hosts with"
        " lockd are not kept out.",
    }[level]
    if watchdog is not None and watchdog.used is None:
        others += f" Whether its watchdog guards them is unknown: {watchdog.why}."
    elif watchdog is not None and not watchdog.used:
        where = f" ({watchdog.place})" if watchdog.place else ""
        others += (
            f" It runs without its watchdog{where}: where this host loses its leases and its guests"
            " hang, it may write their disks after another host has taken them."
        )
    text = f"All disks are locked by the MD5 of the path, with leases in {directory}{reason}."
    return Protection(
        level,
        f"Disks are locked by sanlock, as host {number} of its lockspace. {others}",
        (Reach(("all disks",), level, text),),
    )


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


def _sentence_start(disks: list[str]) -> str:
    text = disks[0] if len(disks) == 1 else f"{', '.join(disks[:-1])} and {disks[-1]}"
    return text[0].upper() + text[1:]


def _reach(locking: Locking, storages: Mapping[str, Storage]) -> tuple[Level, str]:
    """How far locks of one kind reach, as a level and as a sentence that begins with the disks'
    name."""
    if locking.mode == "direct":
        if locking.disk == "image files":
            return (
                "depends",
                (
                    "are locked themselves (direct): other hosts see it where the file system of"
                    " the image carries locks."
                ),
            )
        return (
            "this-host",
            "are locked themselves (direct): locks on a device node do not reach other hosts.",
        )
    text = f"are locked by {locking.named_by}, in {locking.lockspace} (indirect)"
    storage = storages.get(locking.lockspace or "")
    level: Level = "unknown"
    if storage is None:
        text += "."
    else:
        level = _LEVELS[storage.shared]
        missing = "" if storage.exists else ", a directory that does not exist yet"
        text += f"{missing}, on {storage.reason}"
        text += ": other hosts do not see the locks." if level == "this-host" else "."
    if locking.fallback is not None:
        text += f" If it is unavailable, {_fallback(locking.fallback)}, without a warning."
    return level, text


def _fallback(locking: Locking) -> str:
    if locking.mode == "direct":
        return "the device itself is locked"
    return f"{locking.named_by} in {locking.lockspace} is taken"
