"""The facts that decide the locking of a host: the parsed files of its snapshot, and what its
lockspaces and disks are on.

Most hosts of a fleet have the same facts. What only one host has (its name, its guests, times) is
not a fact in this sense.
"""

from __future__ import annotations

from functools import cache

from lockcfg.conf.document import Document
from lockcfg.conf.files import KINDS, kinds_of
from lockcfg.conf.load import parse
from lockcfg.conf.settings import settings_of
from lockcfg.errors import ConfSyntaxError
from lockcfg.fleet.model.locks import Locking
from lockcfg.fleet.model.place import Location, place_of
from lockcfg.frozen import Frozen
from lockcfg.host.host import LOCKING_KEYS, LOCKSPACE_KEYS, Configuration
from lockcfg.host.parts import DAEMONS, DRIVER_DAEMONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import Driver


class Directory(Frozen):
    """A directory with locks or disks.

    ``setting`` is the setting that names it as a lockspace, :data:`LEASE` if <lease> elements name
    it, or empty. ``state`` is ``there``, ``missing``, ``unknown`` (nothing looked at it) or
    ``error``; then ``error`` is the message. ``type``, ``source`` and ``options`` belong to the
    mount, and ``mounted`` is the place of the mount's root. ``probe`` is what a scratch lock did;
    ``step`` and ``probe_error`` say why it failed.
    """

    __slots__ = (
        "error",
        "group",
        "mode",
        "mounted",
        "options",
        "owner",
        "path",
        "place",
        "probe",
        "probe_error",
        "setting",
        "source",
        "state",
        "step",
        "type",
    )

    def __init__(
        self,
        path: str,
        place: Location,
        *,
        setting: str = "",
        state: str = "there",
        error: str = "",
        type: str = "",
        source: str = "",
        options: Sequence[str] = (),
        mounted: Location | None = None,
        owner: str = "",
        group: str = "",
        mode: str = "",
        probe: str = "",
        step: str = "",
        probe_error: str = "",
    ) -> None:
        self.path: Final = path
        self.place: Final = place
        self.setting: Final = setting
        self.state: Final = state
        self.error: Final = error
        self.type: Final = type
        self.source: Final = source
        self.options: Final = tuple(options)
        self.mounted: Final = mounted
        self.owner: Final = owner
        self.group: Final = group
        self.mode: Final = mode
        self.probe: Final = probe
        self.step: Final = step
        self.probe_error: Final = probe_error


class Sanlock(Frozen):
    """What sanlock leases on a host that uses it: ``auto`` and ``require`` are its settings
    auto_disk_leases and require_lease_for_disks, ``host_id`` is the number of the host (0: none),
    ``directory`` the directory of its leases."""

    __slots__ = ("auto", "directory", "host_id", "require")

    def __init__(self, *, auto: bool, require: bool, host_id: int, directory: Directory) -> None:
        self.auto: Final = auto
        self.require: Final = require
        self.host_id: Final = host_id
        self.directory: Final = directory


class Facts(Frozen):
    """The facts of a host.

    ``settings`` are the settings in force, by key. ``refused`` says why libvirt does not start, as
    pairs of file and reason. ``ignored`` are the settings that the host's libvirt does not know,
    with the release that does. ``spaces`` are the lockspace directories in force, ``spare`` the
    ones that a file names and that are not in force, ``storages`` the directories with disks,
    ``leases`` the directories of <lease> elements. ``others`` are the settings in force and the
    lockspaces of the other drivers. ``live`` tells that the facts come from the host itself, and
    not only from its files. ``sanlock`` is what is known of sanlock if the main driver uses it;
    None if nothing is known. ``lines`` are the places of the settings: the file and the line, 0 for
    an absent setting.
    """

    __slots__ = (
        "driver",
        "ignored",
        "incomplete",
        "leases",
        "libvirt",
        "lines",
        "live",
        "lvs",
        "others",
        "qemu",
        "refused",
        "sanlock",
        "scsi_id",
        "settings",
        "spaces",
        "spare",
        "storages",
    )

    def __init__(
        self,
        driver: Driver,
        settings: Mapping[str, Value | None],
        *,
        refused: Sequence[tuple[str, str]] = (),
        ignored: Sequence[tuple[str, str, str]] = (),
        spaces: Sequence[Directory] = (),
        spare: Sequence[Directory] = (),
        storages: Sequence[Directory] = (),
        leases: Sequence[Directory] = (),
        lvs: bool | None = None,
        scsi_id: bool | None = None,
        libvirt: str = "",
        qemu: str = "",
        live: bool = True,
        incomplete: Sequence[str] = (),
        others: Mapping[str, tuple[Mapping[str, Value | None], Sequence[Directory]]] | None = None,
        sanlock: Sanlock | None = None,
        lines: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.sanlock: Final = sanlock
        self.lines: Final = {key: (str(file), int(at)) for key, (file, at) in (lines or {}).items()}
        self.others: Final = {
            name: (dict(found), tuple(directories))
            for name, (found, directories) in (others or {}).items()
        }
        self.driver: Final = driver
        self.settings: Final = dict(settings)
        self.refused: Final = tuple(refused)
        self.ignored: Final = tuple(ignored)
        self.spaces: Final = tuple(spaces)
        self.spare: Final = tuple(spare)
        self.storages: Final = tuple(storages)
        self.leases: Final = tuple(leases)
        self.lvs: Final = lvs
        self.scsi_id: Final = scsi_id
        self.libvirt: Final = libvirt
        self.qemu: Final = qemu
        self.live: Final = live
        self.incomplete: Final = tuple(incomplete)

    @property
    def locking(self) -> Locking:
        """What the model needs to know of the main driver."""
        if self.sanlock is not None:
            return Locking(
                "sanlock",
                auto=self.sanlock.auto,
                require=self.sanlock.require,
                lvs=self.lvs,
                scsi_id=self.scsi_id,
                leases=self.sanlock.directory.place,
                host_id=self.sanlock.host_id,
            )
        return self._locking(self.settings, self.spaces)

    def locking_of(self, driver: str) -> Locking:
        """What the model needs to know of a driver or instance; empty stands for the main driver. A
        driver without a file has no lock manager, as for libvirt."""
        if not driver:
            return self.locking
        if driver not in self.others:
            return Locking("nop", lvs=self.lvs, scsi_id=self.scsi_id)
        return self._locking(*self.others[driver])

    def _locking(
        self, settings: Mapping[str, Value | None], spaces: Sequence[Directory]
    ) -> Locking:
        return Locking(
            str(settings["lock_manager"] or "nop"),
            auto=settings["auto_disk_leases"] == 1,
            require=settings["require_lease_for_disks"] == 1,
            spaces={space.setting: space.place for space in spaces},
            paths={space.setting: space.path for space in spaces},
            lvs=self.lvs,
            scsi_id=self.scsi_id,
        )

    @property
    def locks_disks(self) -> bool:
        """Whether lockd is the lock manager and locks disks by itself."""
        return self.settings["lock_manager"] == "lockd" and self.settings["auto_disk_leases"] == 1


#: The drivers of libvirt that ask lockd.
DRIVERS: Final[tuple[Driver, ...]] = ("qemu", "libxl")

#: The value of ``setting`` for a directory that <lease> elements name.
LEASE: Final = "<lease>"

#: The note that the facts are incomplete because the collector was not root.
NOT_ROOT: Final = "the collector did not run as root"

#: The snapshot of a host of which only the files are known.
NOT_LIVE: Final[Mapping[str, Any]] = {
    "collector": {"privileged": False, "probe": False, "incomplete": []},
    "tools": None,
    "versions": {},
    "directories": [],
}


def document_of(name: str, member: Mapping[str, Any]) -> tuple[Document, str]:
    """One file of a snapshot, parsed, and the reason why libvirt would not start with it, or an
    empty string."""
    kind = KINDS[name]
    path = str(member.get("path", name))
    if "error" in member:
        return Document(kind, path, None, ()), f"cannot be read: {member['error']}"
    if "text" not in member:
        return Document(kind, path, None, ()), ""
    text = member["text"].encode(member.get("encoding", "utf-8"), "replace")
    try:
        return parse(text, kind, path), ""
    except ConfSyntaxError as error:
        return Document(kind, path, None, ()), f"line {error.place.line}: {error.reason}"


def driver_of(documents: Mapping[str, Document]) -> Driver:
    """The driver of the host's guests: QEMU's, unless only the file of Xen's driver exists."""
    xen_only = documents["libxl.conf"].exists and not documents["qemu.conf"].exists
    return "libxl" if xen_only else "qemu"


def facts_of(
    documents: Mapping[str, tuple[Document, str]],
    shared: Mapping[str, Any],
    inodes: Mapping[str, int],
    lines: Mapping[str, Mapping[str, int]] | None = None,
) -> Facts:
    """The facts of a host from its files, as :func:`document_of` gives them, from the members of
    its snapshot that many hosts share, and from the inode numbers of its directories. ``lines`` are
    the lines of settings, by file, as :func:`lines_of` gives them."""
    parsed = {name: document for name, (document, _) in documents.items()}
    driver = driver_of(parsed)
    tools, versions = shared["tools"], shared["versions"]
    directories = {each["path"]: each for each in shared["directories"]}
    live = tools is not None

    def directory(path: str, setting: str = "") -> Directory:
        told = directories.get(path) or _unseen(path, directories)
        return _directory(path, told, inodes.get(path), setting)

    def configured(of: Driver) -> Configuration:
        absent = {kind.name: Document(kind, kind.name, None, ()) for kind in kinds_of(of)}
        files = {**absent, **parsed}  # a snapshot does not have sanlock's own file
        return Configuration(of, {kind.role: files[kind.name] for kind in kinds_of(of)})

    def in_force(configuration: Configuration) -> tuple[dict[str, Value | None], list[Directory]]:
        lockspaces = configuration.lockspaces
        return (
            {key: configuration.effective(key).value for key in LOCKING_KEYS},
            [
                directory(path, key)
                for key in LOCKSPACE_KEYS
                if (path := lockspaces.get(key)) is not None
            ],
        )

    configuration = configured(driver)
    refused = [
        (kind.name, reason)
        for kind in kinds_of(driver)
        if kind.name in documents and (reason := documents[kind.name][1])
        if kind.role != "sanlock" or configuration.lock_manager == "sanlock"
    ]
    refused += _refusals(configuration, numbers(versions.get("libvirt", "")))
    refused += _missing(configuration, tools.get("parts") if tools is not None else None)
    sanlock = None
    plugin = f"{driver}-sanlock.conf"
    if configuration.lock_manager == "sanlock" and documents.get(plugin, (None, "?"))[1] == "":
        sanlock = _sanlock(configuration, directory)
        if sanlock.auto and not sanlock.host_id:
            refused.append((plugin, "auto_disk_leases is 1 and no host_id is set"))
    ignored = _ignored(configuration, versions.get("libvirt", ""))
    settings, spaces = in_force(configuration)
    others: dict[str, tuple[Mapping[str, Value | None], Sequence[Directory]]] = {
        other: in_force(configured(other))
        for other in DRIVERS
        if other != driver and parsed[f"{other}.conf"].exists
    }
    held = {
        what: [path for path, each in sorted(directories.items()) if what in each["holds"]]
        for what in ("disks", "leases", "lockspace")
    }
    named = {space.path for space in spaces}
    if sanlock is not None:
        named.add(sanlock.directory.path)
    return Facts(
        driver,
        settings,
        refused=refused,
        ignored=ignored,
        spaces=spaces,
        spare=[directory(path) for path in held["lockspace"] if path not in named],
        storages=[directory(path) for path in held["disks"]],
        leases=[directory(path, LEASE) for path in held["leases"]],
        lvs=tools["lvs"] if live else None,
        scsi_id=tools["scsi_id"] if live else None,
        libvirt=versions.get("libvirt", ""),
        qemu=versions.get("qemu", ""),
        live=live,
        incomplete=_incomplete(shared["collector"]) if live else (),
        others=others,
        sanlock=sanlock,
        lines={
            key: (kind.name, (lines or {}).get(kind.name, {}).get(key, 0))
            for kind in kinds_of(driver)
            for key in LOCKING_KEYS
            if kind.role != "sanlock" and key in settings_of(kind)
        }
        | {key: (file, (lines or {}).get(file, {}).get(key, 0)) for file, key, _ in ignored},
    )


def _sanlock(configuration: Configuration, directory: Callable[[str, str], Directory]) -> Sanlock:
    """What sanlock leases under a configuration that uses it."""
    of_sanlock = configuration.of_sanlock
    host_id = of_sanlock("host_id").value
    path = str(of_sanlock("disk_lease_dir").value)
    return Sanlock(
        auto=of_sanlock("auto_disk_leases").value == 1,
        require=of_sanlock("require_lease_for_disks").value == 1,
        host_id=host_id if isinstance(host_id, int) else 0,
        directory=directory(path, "disk_lease_dir"),
    )


def lines_of(document: Document) -> dict[str, int]:
    """The lines of a file with the settings that decide the locking, and with the settings that a
    release of libvirt may not know. Lines count from 1."""
    text = document.text or b""
    found: dict[str, int] = {}
    for key in (*LOCKING_KEYS, *_later_keys(document.kind.name)):
        entry = document.get(key)
        if entry is not None:
            found[key] = text.count(b"\n", 0, entry.key_span.start) + 1
    return found


@cache
def _later_keys(name: str) -> tuple[str, ...]:
    """The settings of a file that not every release of libvirt has."""
    known = settings_of(KINDS[name]).items()
    return tuple(key for key, setting in known if numbers(setting.since))


def _incomplete(collector: Mapping[str, Any]) -> list[str]:
    """What the collector could not do, in words that are the same for many hosts."""
    found: list[str] = []
    if not collector["privileged"]:
        found.append(NOT_ROOT)
    if not collector["probe"]:
        found.append("no scratch lock was tried (--no-probe)")
    if collector["incomplete"]:
        found.append("the collector could not read everything")
    return found


def _refusals(configuration: Configuration, libvirt: tuple[int, ...]) -> list[tuple[str, str]]:
    """The values with which libvirt does not start."""
    found: list[tuple[str, str]] = []
    for document in configuration.documents.values():
        if document.kind.role == "sanlock" and configuration.lock_manager != "sanlock":
            continue
        known = settings_of(document.kind)
        for key in dict.fromkeys(entry.key for entry in document.entries):
            entry = document.get(key)
            setting = known.get(key)
            if entry is None or setting is None or setting.secret:
                continue
            objection = setting.objection(entry.value, entry.literal, libvirt or None)
            if objection is not None and objection.refused:
                found.append((document.kind.name, objection.message))
    return found


def _missing(
    configuration: Configuration, parts: Sequence[str] | None
) -> Iterator[tuple[str, str]]:
    """The parts of the lock manager without which libvirt does not start. ``parts`` is what is
    installed there; without any of libvirt's daemons it is a tree of files only."""
    manager = configuration.lock_manager
    if parts is None or manager not in DAEMONS or not any(each in parts for each in DRIVER_DAEMONS):
        return
    file = configuration.documents["driver"].kind.name
    if f"{manager}.so" not in parts:
        yield file, f"the plugin of {manager} (lock-driver/{manager}.so) is not installed"
    # libvirt looks for sanlock's daemon when a guest starts, not at its own start.
    if manager == "lockd" and not any(each in parts for each in DAEMONS[manager][0]):
        yield file, f"the daemon of {manager} ({DAEMONS[manager][0][0]}) is not installed"


def _ignored(configuration: Configuration, libvirt: str) -> list[tuple[str, str, str]]:
    """The settings that this libvirt does not know and a later one does."""
    release = numbers(libvirt)
    if not release:
        return []
    found: list[tuple[str, str, str]] = []
    for document in configuration.documents.values():
        known = settings_of(document.kind)
        for key in dict.fromkeys(entry.key for entry in document.entries):
            setting = known.get(key)
            if setting is not None and numbers(setting.since) > release:
                found.append((document.kind.name, key, setting.since))
    return found


def numbers(release: str) -> tuple[int, ...]:
    """A release such as 9.0.0 as numbers; empty if it is not a release."""
    parts = release.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return ()
    return tuple(map(int, parts))


def _unseen(path: str, directories: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is known of a directory that nothing looked at: the mount that other directories are on
    too."""
    mounts = [
        mount
        for each in directories.values()
        if (mount := each.get("mount")) is not None
        and (path + "/").startswith(mount["point"].rstrip("/") + "/")
        # A local mount shows nothing: anything may be mounted below it.
        and not place_of(mount["point"], mount, None).local
    ]
    mount = max(mounts, key=lambda mount: len(mount["point"]), default=None)
    return None if mount is None else {"path": path, "mount": mount, "unseen": True}


def _directory(
    path: str, told: Mapping[str, Any] | None, inode: int | None, setting: str
) -> Directory:
    if told is None:
        why = "an unknown file system"
        return Directory(
            path, Location("", path, None, "unknown", why), setting=setting, state="unknown"
        )
    mount = told.get("mount")
    resolved = told.get("resolved", path)
    place = place_of(resolved, mount, inode)
    state = "missing" if told.get("missing") else "error" if "error" in told else "there"
    if "unseen" in told:
        state = "unknown"
    probe = told.get("probe", {})
    return Directory(
        path,
        # No other host has the inode numbers of a file system that only this host has.
        place.replace(system="") if place.local else place,
        setting=setting,
        state=state,
        error=told.get("error", ""),
        type=mount["type"] if mount else "",
        source=mount["source"] if mount else "",
        options=mount["options"] if mount else (),
        mounted=place_of(mount["point"], mount, None) if mount and not place.local else None,
        owner=told.get("owner", ""),
        group=told.get("group", ""),
        mode=told.get("mode", ""),
        probe=probe.get("outcome", ""),
        step=probe.get("step", ""),
        probe_error=probe.get("error", ""),
    )
