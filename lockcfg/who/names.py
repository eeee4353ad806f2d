"""Finds the names that libvirt may have given to the lock of a disk, without asking any program.

lvs and scsi_id take a second when many processes ask them. The kernel knows the same names: sysfs
has the UUID of a logical volume, and udev makes links by the ids of SCSI disks.
"""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_SYS: Final = "/sys/class/block"
_BY_ID: Final = "/dev/disk/by-id"

#: The lengths of the groups of a logical volume's UUID, and what precedes it in sysfs.
_GROUPS: Final = (6, 4, 4, 4, 4, 4, 6)
_LVM: Final = "LVM-"


def hash_of(path: str) -> str:
    """The name of a disk in ``file_lockspace_dir``: the SHA-256 of its path as the guest spells
    it."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()


def names_of(path: str) -> list[str]:
    """The names that the lock of a disk may have in a lockspace."""
    names = [hash_of(path)]
    if path.startswith("/dev"):
        device = os.path.basename(os.path.realpath(path))
        uuid = _lvm_uuid(device)
        names += [uuid] if uuid else []
        names += [name for name, target in _scsi_ids() if target == device]
    return names


def devices_named(name: str) -> list[str]:
    """The block devices of this host that have the UUID of a logical volume, or a SCSI id."""
    found = [f"/dev/{target}" for each, target in _scsi_ids() if each == name]
    for device in _entries(_SYS):
        if device.startswith("dm-") and _lvm_uuid(device) == name:
            label = _line(f"{_SYS}/{device}/dm/name")
            found.append(f"/dev/mapper/{label}" if label else f"/dev/{device}")
    return found


def _lvm_uuid(device: str) -> str:
    """The UUID of a logical volume as lvs prints it; empty if the device is not a logical
    volume."""
    uuid = _line(f"{_SYS}/{device}/dm/uuid")
    if not uuid.startswith(_LVM) or len(uuid) < len(_LVM) + 64:
        return ""
    rest = uuid[len(_LVM) + 32 : len(_LVM) + 64]  # after the UUID of its volume group
    groups, at = [], 0
    for length in _GROUPS:
        groups.append(rest[at : at + length])
        at += length
    return "-".join(groups)


def _scsi_ids() -> Iterator[tuple[str, str]]:
    """The ids of SCSI disks, each with its device."""
    for name in _entries(_BY_ID):
        if name.startswith("scsi-") and "-part" not in name:
            try:
                yield name[5:], os.path.basename(os.readlink(f"{_BY_ID}/{name}"))
            except OSError:
                continue


def _entries(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(4096).strip()
    except OSError:
        return ""
