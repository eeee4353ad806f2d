"""A host: the places of its configuration files, and what the files say together."""

from __future__ import annotations

import os

from lockcfg.conf.document import Document
from lockcfg.conf.files import KINDS, kinds_of
from lockcfg.conf.load import load_if_there
from lockcfg.conf.settings import kinds_anywhere_with, kinds_with, settings_of
from lockcfg.errors import ConfSyntaxError, ReadError, UnknownKeyError
from lockcfg.frozen import Frozen
from lockcfg.nearest import nearest
from lockcfg.rooted import Spot, below, real_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import Driver, FileKind, Role
    from lockcfg.conf.settings import Setting
    from lockcfg.errors import LockcfgError
    from lockcfg.findings import Place


class Host(Frozen):
    """The place of one host's configuration.

    ``root`` is the directory with the host's file tree (``/`` for this host). ``driver`` is the
    driver whose guests count. ``session`` selects the libvirt of an unprivileged user, whose files
    are in ``$XDG_CONFIG_HOME/libvirt``, by default ``~/.config/libvirt``. ``elsewhere`` tells that
    ``root`` has only copies of some of the host's files, so the file systems of its directories
    cannot be seen here.
    """

    __slots__ = ("driver", "elsewhere", "root", "session")

    def __init__(
        self,
        root: str = "/",
        driver: Driver = "qemu",
        *,
        session: bool = False,
        elsewhere: bool = False,
    ) -> None:
        self.elsewhere: Final = elsewhere
        self.root: Final = root
        self.driver: Final = driver
        self.session: Final = session

    @property
    def directory(self) -> str:
        """The directory of the configuration files."""
        if not self.session:
            return self.inside("/etc/libvirt")
        config = os.environ.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(config):  # the XDG specification says to ignore a relative path
            config = os.path.join(os.path.expanduser("~"), ".config")
        return self.inside(os.path.join(config, "libvirt"))

    @property
    def is_this_one(self) -> bool:
        """Whether this is the system's libvirt of the host that lockcfg runs on."""
        return self.root == "/" and not self.session

    def inside(self, path: str) -> str:
        """The path here of ``path``, which is absolute on the host."""
        if self.root == "/":
            return path
        return os.path.join(self.root, path.lstrip("/"))

    def real(self, path: str) -> str:
        """The path here of the target of ``path``, which is absolute on the host, as far as it
        exists. Links lead where they lead on the host."""
        return real_path(self.root, path)

    def path(self, kind: FileKind) -> str:
        """The path of the host's file of a kind."""
        return os.path.join(self.directory, kind.name)

    def status(self, kind: FileKind) -> os.stat_result:
        """The status of the file or link at :meth:`path`. Raises OSError."""
        with Spot(self.root, below(self.root, self.path(kind)), follow=False) as spot:
            return spot.status()

    def load(self, kind: FileKind) -> Document:
        """The host's file of a kind; a missing file counts as empty. Raises the same as
        load_file."""
        return load_if_there(self.path(kind), kind, root=self.root)

    def kind_of(self, key: str, manager: str | None = None) -> FileKind:
        """The kind of file that the setting ``key`` belongs in. The files of two lock managers have
        some keys in common; then the file of ``manager`` counts, or without it the file of the lock
        manager in use.

        Raises :class:`UnknownKeyError`, with the nearest known key as its help.
        """
        kinds = kinds_with(key, self.driver)
        if kinds:
            plugins = {kind.role: kind for kind in kinds if kind.role in ("lockd", "sanlock")}
            if len(plugins) > 1 and (manager or self.manager_in_charge()) == "sanlock":
                return plugins["sanlock"]
            return kinds[0]
        elsewhere = kinds_anywhere_with(key)
        if elsewhere:
            raise UnknownKeyError(
                key,
                help=f"it is one of {elsewhere[0].name}: say --driver {elsewhere[0].drivers[0]}",
            )
        from lockcfg.conf.elsewhere import file_elsewhere

        if other := file_elsewhere(key):
            raise UnknownKeyError(key, help=f"it is one of {other}, which lockcfg does not edit")
        known = [key for kind in kinds_of(self.driver) for key in settings_of(kind)]
        near = nearest(key, known)
        raise UnknownKeyError(
            key, help=f"did you mean '{near}'?" if near else "'lockcfg schema' lists all"
        )

    def manager_in_charge(self) -> str:
        """The lock manager that the driver's file names; ``nop`` if it names none or cannot be
        read."""
        try:
            entry = self.load(driver_kind(self.driver)).get("lock_manager")
        except (ReadError, ConfSyntaxError):
            return "nop"
        return str(entry.value) if entry is not None else "nop"


class Effective(Frozen):
    """The value of one setting that is in force.

    ``value`` is None if only libvirt knows the default. ``place`` is the place where it is set,
    None for a default. ``because`` explains a default that depends on something else.
    """

    __slots__ = ("because", "place", "setting", "value")

    def __init__(
        self, setting: Setting, value: Value | None, place: Place | None, because: str = ""
    ) -> None:
        self.setting: Final = setting
        self.value: Final = value
        self.place: Final = place
        self.because: Final = because


class Locking(Frozen):
    """How the disks of one kind are locked.

    ``disk`` names the kind in words. ``mode`` is ``direct`` (on the disk itself), ``indirect`` (on
    a file in ``lockspace`` named by ``named_by``), ``lease`` (by the guest's own <lease> elements
    only), or ``none``. ``fallback`` is the mode that libvirt uses, without a warning, if it cannot
    find the name out (no lvs, no SCSI id).
    """

    __slots__ = ("disk", "fallback", "lockspace", "mode", "named_by")

    def __init__(
        self,
        disk: str,
        mode: str,
        lockspace: str | None = None,
        named_by: str | None = None,
        fallback: Locking | None = None,
    ) -> None:
        self.disk: Final = disk
        self.mode: Final = mode
        self.lockspace: Final = lockspace
        self.named_by: Final = named_by
        self.fallback: Final = fallback


#: The settings that decide the locking, in the order in which reports show them.
LOCKING_KEYS: Final = (
    "lock_manager",
    "auto_disk_leases",
    "require_lease_for_disks",
    "file_lockspace_dir",
    "lvm_lockspace_dir",
    "scsi_lockspace_dir",
    "max_clients",
)

#: The same for sanlock, in the file of its plugin.
SANLOCK_KEYS: Final = (
    "auto_disk_leases",
    "require_lease_for_disks",
    "disk_lease_dir",
    "host_id",
    "io_timeout",
)

LOCKSPACE_KEYS: Final = ("file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir")


class _Remembering(Frozen):
    """What :class:`Configuration` has worked out. It is not a field, so comparisons ignore it."""

    __slots__ = ("_effective",)

    def __init__(self) -> None:
        self._effective: Final[dict[str, Effective]] = {}


class Configuration(_Remembering):
    """The configuration in force on one host: its files, and what follows from them.

    ``documents`` has one document for each kind of file of the driver, by role; a missing file
    counts as empty. All values are the ones that libvirt uses: the first of duplicates, and the
    default for a setting of the wrong type (with which no daemon starts).
    """

    __slots__ = ("documents", "driver")

    def __init__(self, driver: Driver, documents: Mapping[Role, Document]) -> None:
        super().__init__()
        self.driver: Final = driver
        self.documents: Final = documents

    def effective(self, key: str) -> Effective:
        """The value of ``key`` that is in force. Raises KeyError for a key that no file of the
        driver has."""
        known = self._effective.get(key)
        if known is None:
            known = self._effective[key] = self._work_out(key)
        return known

    def _work_out(self, key: str) -> Effective:
        for document in self.documents.values():
            setting = settings_of(document.kind).get(key)
            if setting is None:
                continue
            entry = document.get(key)
            if entry is not None and setting.objection(entry.value, entry.literal) is None:
                return Effective(setting, entry.value, document.place_of(entry))
            if key == "require_lease_for_disks":
                auto = self.auto_disk_leases
                return Effective(
                    setting, int(not auto), None, f"because auto_disk_leases = {int(auto)}"
                )
            return Effective(setting, setting.default, None, setting.default_from or "")
        raise KeyError(key)

    def in_use(self) -> Iterable[Document]:
        """The documents in use. The files of a lock manager's plugin and daemon affect the guests
        of this driver only if that lock manager is set."""
        driver = self.documents["driver"]
        yield driver
        if self.lock_manager == "lockd":
            yield from (self.documents[role] for role in ("lockd", "daemon"))
        elif self.lock_manager == "sanlock" and "sanlock" in self.documents:
            yield self.documents["sanlock"]

    def all(self) -> Iterable[Effective]:
        """Every setting of every file with its value in force, in the order of libvirt's
        samples."""
        for document in self.documents.values():
            for key in settings_of(document.kind):
                yield self.effective(key)

    @property
    def lock_manager(self) -> str:
        """``nop``, ``lockd`` or ``sanlock``."""
        return str(self.effective("lock_manager").value or "nop")

    @property
    def auto_disk_leases(self) -> bool:
        """Whether lockd locks every disk by itself."""
        return self.effective("auto_disk_leases").value == 1

    @property
    def require_lease_for_disks(self) -> bool:
        """Whether a guest with writable disks and without a <lease> is refused."""
        return self.effective("require_lease_for_disks").value == 1

    def lockspace(self, key: str) -> str | None:
        """The directory that one of :data:`LOCKSPACE_KEYS` names; None if it is unset."""
        directory = self.effective(key).value
        return directory if isinstance(directory, str) and directory else None

    def of_sanlock(self, key: str) -> Effective:
        """The value of ``key`` that is in force in the file of sanlock's plugin, which shares names
        of settings with lockd's and the driver's files. Raises KeyError for a key that the file
        does not have."""
        kind = KINDS[f"{self.driver}-sanlock.conf"]
        document = self.documents.get("sanlock", Document(kind, kind.name, None, ()))
        setting = settings_of(kind)[key]
        entry = document.get(key)
        if entry is not None and setting.objection(entry.value, entry.literal) is None:
            return Effective(setting, entry.value, document.place_of(entry))
        if key == "require_lease_for_disks":
            auto = self.of_sanlock("auto_disk_leases").value
            return Effective(setting, int(not auto), None, f"because auto_disk_leases = {auto}")
        return Effective(setting, setting.default, None, setting.default_from or "")

    @property
    def lockspaces(self) -> dict[str, str]:
        """The lockspace directories in use, by setting.

        Empty if lockd is not the lock manager or does not lock disks by itself: libvirt then
        neither uses nor creates them.
        """
        if self.lock_manager != "lockd" or not self.auto_disk_leases:
            return {}
        directories = ((key, self.lockspace(key)) for key in LOCKSPACE_KEYS)
        return {key: directory for key, directory in directories if directory is not None}

    @property
    def locking(self) -> tuple[Locking, ...]:
        """How lockd locks each kind of disk, the most common kind first."""
        kinds = ("image files", "block devices", "logical volumes", "SCSI volumes")
        if self.lock_manager != "lockd":
            return tuple(Locking(disk, "none") for disk in kinds)
        if not self.auto_disk_leases:
            return tuple(Locking(disk, "lease") for disk in kinds)
        spaces = self.lockspaces
        by_path = spaces.get("file_lockspace_dir")

        def path(disk: str) -> Locking:
            if by_path is None:
                return Locking(disk, "direct")
            return Locking(disk, "indirect", by_path, "the SHA-256 of the path")

        def named(disk: str, key: str, name: str) -> Locking:
            if key not in spaces:
                return path(disk)
            return Locking(disk, "indirect", spaces[key], name, fallback=path(disk))

        files, devices, volumes, scsi = kinds
        return (
            path(files),
            path(devices),
            named(volumes, "lvm_lockspace_dir", "the LVM UUID"),
            named(scsi, "scsi_lockspace_dir", "the SCSI id"),
        )


def look_at_host(host: Host) -> dict[Role, Document | LockcfgError]:
    """The files of ``host``, by role. For a file that cannot be read or parsed, the error takes its
    place."""
    found: dict[Role, Document | LockcfgError] = {}
    for kind in kinds_of(host.driver):
        try:
            found[kind.role] = host.load(kind)
        except (ReadError, ConfSyntaxError) as error:
            found[kind.role] = error
    return found


def load_host(host: Host) -> Configuration:
    """The configuration of ``host``. Raises :class:`ReadError` and :class:`ConfSyntaxError`."""
    return Configuration(
        host.driver, {kind.role: host.load(kind) for kind in kinds_of(host.driver)}
    )


def driver_kind(driver: Driver) -> FileKind:
    """The kind of file of the driver itself, which has ``lock_manager``."""
    return KINDS[f"{driver}.conf"]
