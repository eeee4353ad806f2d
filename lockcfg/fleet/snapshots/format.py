"""Says what a snapshot consists of, and checks its members.

The checks are written by hand: a JSON Schema validator takes fifty times as long. A test compares
them with ``schemas/snapshot.schema.json``.
"""

from __future__ import annotations

from lockcfg.errors import LockcfgError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    Check = Callable[[Any, str], None]


FORMAT: Final = "lockcfg-snapshot"

#: The largest snapshot that is read, in bytes: every file in it may be as large as libvirt reads.
MAX_SIZE: Final = 64 * 1024 * 1024

VERSION: Final = 2

#: The members that differ on every host, in this order: they are never remembered.
OWN: Final = ("host", "daemons", "changed", "identities", "guests")

#: libvirt's files, as members.
FILES: Final = ("qemu.conf", "qemu-lockd.conf", "libxl.conf", "libxl-lockd.conf", "virtlockd.conf")

#: The files of sanlock's plugin, which not every snapshot has.
SANLOCK_FILES: Final = ("qemu-sanlock.conf", "libxl-sanlock.conf")

#: The member after them, if the host took part in a probe: what it saw there.
EVIDENCE: Final = "evidence"

#: The longest string of a member that differs on every host: a shorter member has no longer string.
LONGEST: Final = 65_536

#: The longest name of a host.
LONGEST_NAME: Final = 255


class SnapshotError(LockcfgError):
    """The text is not a snapshot. ``message`` says why; ``host`` is the host that it names, if it
    does."""

    def __init__(self, message: str, *, host: str = "") -> None:
        super().__init__(message)
        self.host = host


def check_member(name: str, value: Any) -> None:
    """Check one member except for ``format`` and ``version``. Raises :class:`SnapshotError`."""
    check = _MEMBERS.get(name)
    if check is not None:  # a later collector may write more members
        check(value, name)


def check_header(members: Mapping[str, Any]) -> None:
    """Check that these are the members of a snapshot that this lockcfg can read."""
    if members.get("format") != FORMAT:
        raise SnapshotError(f"is not a snapshot: its format is not '{FORMAT}'")
    version = members.get("version")
    if type(version) is not int or version < 1:
        raise SnapshotError("has no version")
    if version > VERSION:
        raise SnapshotError(
            f"is of version {version}, and this lockcfg reads {VERSION}: a newer lockcfg is needed"
        )
    for name in _MEMBERS:
        if name not in members and name not in (EVIDENCE, *SANLOCK_FILES):
            raise SnapshotError(f"has no '{name}'")


def _fail(where: str, what: str) -> None:
    raise SnapshotError(f"'{where}' {what}")


def _text(most: int, least: int = 0) -> Check:
    def check(value: Any, where: str) -> None:
        if type(value) is not str:
            _fail(where, "is not a string")
        if not least <= len(value) <= most:
            _fail(where, f"is {'empty' if not value else 'too long'}")
        if not value.isascii() and not _encodable(value):
            _fail(where, "is not text")
        if "\0" in value:
            _fail(where, "has a NUL in it")

    return check


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(value: Any, where: str) -> None:
    if type(value) is not int or value < 0:
        _fail(where, "is not a whole number")


def _flag(value: Any, where: str) -> None:
    if type(value) is not bool:
        _fail(where, "is neither true nor false")


def _choice(*choices: str) -> Check:
    def check(value: Any, where: str) -> None:
        if type(value) is not str or value not in choices:
            _fail(where, f"is none of {', '.join(choices)}")

    return check


def _list_of(check_item: Check, most: int = 100_000) -> Check:
    def check(value: Any, where: str) -> None:
        if type(value) is not list:
            _fail(where, "is not a list")
        if len(value) > most:
            _fail(where, "is too long")
        for item in value:
            check_item(item, where)

    return check


def _map_of(check_key: Check, check_value: Check, most: int = 100_000) -> Check:
    def check(value: Any, where: str) -> None:
        if type(value) is not dict:
            _fail(where, "is not an object")
        if len(value) > most:
            _fail(where, "has too many members")
        for key, item in value.items():
            check_key(key, where)
            check_value(item, where)

    return check


def _object(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    checks = {**required, **(optional or {})}
    needed = frozenset(required)

    def check(value: Any, where: str) -> None:
        if type(value) is not dict:
            _fail(where, "is not an object")
        if not needed <= value.keys():
            _fail(where, f"has no '{min(needed - value.keys())}'")
        for key, item in value.items():
            check_item = checks.get(key)
            if check_item is not None:
                check_item(item, f"{where}.{key}")

    return check


def _identity(value: Any, where: str) -> None:
    if type(value) is not list or len(value) != 2:
        _fail(where, "is not a pair of a device and an inode")
    _long(value[0], where)
    _whole(value[1], where)


_short: Final = _text(255)
_name: Final = _text(LONGEST_NAME, 1)
_path: Final = _text(4096)
_long: Final = _text(LONGEST)

_OWNERSHIP: Final = {"mode": _short, "owner": _short, "group": _short, "label": _short}

_file: Final = _object(
    {"path": _path},
    {
        **_OWNERSHIP,
        "sha256": _short,
        "removed": _whole,
        "encoding": _choice("latin-1"),
        "text": _text(10 * 1024 * 1024),
        "error": _long,
    },
)

_mount: Final = _object(
    {
        "point": _path,
        "root": _path,
        "type": _name,
        "source": _path,
        "options": _list_of(_path, 1000),
    },
    {"ids": _list_of(_path, 100)},
)

_directory: Final = _object(
    {"path": _path, "holds": _list_of(_choice("lockspace", "leases", "disks"), 3)},
    {
        **_OWNERSHIP,
        "resolved": _path,
        "missing": _flag,
        "error": _long,
        "mount": _mount,
        "probe": _object(
            {"outcome": _choice("excludes", "grants", "fails")},
            {"step": _choice("create", "lock", "check", "remove"), "error": _long},
        ),
    },
)

#: What DRBD knows of a device.
_drbd: Final = _object({}, {"links": _list_of(_long, 1000), "generations": _list_of(_long, 1000)})

#: The identities of a block device or a disk that are the same on all hosts, and its lock.
_LOCKED: Final = {
    "identity": _long,
    "part": _long,
    "drbd": _drbd,
    "table": _list_of(_long, 1000),
    "lock": _long,
    "replaced": _flag,
}

#: An image below a disk.
_below: Final = _object(
    {"type": _long, "path": _long},
    {
        "resolved": _long,
        "device": _long,
        "inode": _whole,
        "links": _whole,
        "lvm_uuid": _long,
        "wwid": _long,
        "dm_uuid": _long,
        "identity": _long,
        "part": _long,
        "drbd": _drbd,
        "table": _list_of(_long, 1000),
        "above": _long,
        "error": _long,
    },
)

_disk: Final = _object(
    {"type": _long},
    {
        "path": _long,
        "resolved": _long,
        "device": _long,
        "inode": _whole,
        "links": _whole,
        "lvm_uuid": _long,
        "scsi_id": _long,
        "wwid": _long,
        "dm_uuid": _long,
        "shareable": _flag,
        "readonly": _flag,
        "layers": _whole,
        "error": _long,
        **_LOCKED,
        "chain": _list_of(_below, 1000),
        "servers": _list_of(_long, 1000),
    },
)

_guest: Final = _object(
    {
        "name": _long,
        "uuid": _long,
        "driver": _choice("qemu", "libxl"),
        "disks": _list_of(_disk),
    },
    {
        "running": _flag,
        "started": _whole,
        "instance": _long,
        "on_lockfailure": _long,
        "leases": _list_of(_object({"lockspace": _long, "key": _long, "target": _long})),
    },
)

#: What a host saw in one directory of a probe.
_probed: Final = _object(
    {"path": _path},
    {"nonce": _name, "marked": _list_of(_whole), "locked": _list_of(_whole), "error": _long},
)

_MEMBERS: Final[dict[str, Check]] = {
    "collector": _object({"privileged": _flag, "probe": _flag, "incomplete": _list_of(_long)}),
    **dict.fromkeys((*FILES, *SANLOCK_FILES), _file),
    "tools": _object({"lvs": _flag, "scsi_id": _flag}, {"parts": _list_of(_name)}),
    "versions": _object({}, {"libvirt": _short, "qemu": _short}),
    "directories": _list_of(_directory),
    "host": _object({"name": _name, "machine_id": _long, "boot_id": _long, "taken": _whole}),
    "daemons": _list_of(
        _object(
            {"name": _long, "pid": _whole, "started": _whole},
            {
                "namespace": _long,
                "max_clients": _whole,
                "error": _long,
                "held": _map_of(_long, _whole),
            },
        )
    ),
    "changed": _map_of(_long, _whole, 100),
    "identities": _map_of(_long, _identity),
    "guests": _list_of(_guest),
    EVIDENCE: _object(
        {
            "probe": _name,
            "round": _name,
            "number": _whole,
            "hosts": _whole,
            "taken": _whole,
            "directories": _list_of(_probed, 1000),
        }
    ),
}
