"""What follows from the files of one host together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.files import KINDS, kinds_of
from lockcfg.conf.load import parse
from lockcfg.host.host import Configuration
from lockcfg.host.protection import protection_of
from lockcfg.host.storage import Storage

if TYPE_CHECKING:
    from lockcfg.host.protection import Level
    from lockcfg.host.storage import Shared


def configuration(qemu: str = "", lockd: str = "", daemon: str = "") -> Configuration:
    """The configuration of a host with these files."""
    texts = {"qemu.conf": qemu, "qemu-lockd.conf": lockd, "virtlockd.conf": daemon}
    return Configuration(
        "qemu",
        {
            kind.role: parse(texts.get(kind.name, "").encode(), kind, f"/etc/libvirt/{kind.name}")
            for kind in kinds_of("qemu")
        },
    )


def storage(shared: Shared) -> Storage:
    """A lockspace on some file system."""
    return Storage("/l", exists=True, mount=None, shared=shared, reason="something")


LOCKD = 'lock_manager = "lockd"\n'
FILES = 'file_lockspace_dir = "/l/files"\n'
LVM = 'lvm_lockspace_dir = "/l/lvm"\n'
SCSI = 'scsi_lockspace_dir = "/l/scsi"\n'


def test_without_any_setting_the_defaults_of_libvirt_hold() -> None:
    """Not those that its samples show."""
    it = configuration()
    assert it.lock_manager == "nop"
    assert it.auto_disk_leases
    assert not it.require_lease_for_disks
    assert it.lockspaces == {}
    assert it.effective("max_clients").value == 1024


def test_require_lease_follows_auto_disk_leases() -> None:
    """libvirt: 1 where disks are not locked by themselves, and what is set wins."""
    assert configuration(lockd="auto_disk_leases = 0\n").require_lease_for_disks
    both = configuration(lockd="auto_disk_leases = 0\nrequire_lease_for_disks = 0\n")
    assert not both.require_lease_for_disks
    effective = configuration(lockd="auto_disk_leases = 0\n").effective("require_lease_for_disks")
    assert effective.place is None
    assert effective.because == "because auto_disk_leases = 0"


def test_of_duplicates_the_first_wins_and_its_place_is_told() -> None:
    """As in libvirt."""
    effective = configuration(qemu='\nlock_manager = "lockd"\nlock_manager = "nop"\n').effective(
        "lock_manager"
    )
    assert effective.value == "lockd"
    assert effective.place is not None
    assert (effective.place.line, effective.place.column) == (2, 16)


def test_a_value_of_the_wrong_type_does_not_count() -> None:
    """No daemon starts with it; a check reports it."""
    assert configuration(lockd='auto_disk_leases = "0"\n').auto_disk_leases


def test_an_empty_lockspace_directory_is_none() -> None:
    """It cannot be a directory."""
    assert configuration(LOCKD, 'file_lockspace_dir = ""\n').lockspaces == {}


def modes(it: Configuration) -> list[tuple[str, str | None]]:
    """How each kind of disk is locked, and where."""
    return [(locking.mode, locking.lockspace) for locking in it.locking]


def test_how_each_kind_of_disk_is_locked() -> None:
    """Image files, block devices, logical volumes, SCSI volumes."""
    assert modes(configuration()) == [("none", None)] * 4
    assert modes(configuration(LOCKD)) == [("direct", None)] * 4
    assert modes(configuration(LOCKD, FILES)) == [("indirect", "/l/files")] * 4
    assert modes(configuration(LOCKD, LVM + SCSI)) == [
        ("direct", None),
        ("direct", None),
        ("indirect", "/l/lvm"),
        ("indirect", "/l/scsi"),
    ]
    assert modes(configuration(LOCKD, FILES + "auto_disk_leases = 0\n")) == [("lease", None)] * 4


def test_a_name_that_cannot_be_found_falls_back_silently() -> None:
    """A host without lvs locks another file for the same volume."""
    volumes = configuration(LOCKD, FILES + LVM).locking[2]
    assert volumes.fallback is not None
    assert (volumes.fallback.mode, volumes.fallback.lockspace) == ("indirect", "/l/files")


@pytest.mark.parametrize(
    ("qemu", "lockd", "shared", "level"),
    [
        ("", FILES, "yes", "none"),
        ('lock_manager = "nop"\n', "", "yes", "none"),
        ('lock_manager = "sanlock"\n', "", "yes", "leases"),
        (LOCKD, "auto_disk_leases = 0\nrequire_lease_for_disks = 0\n", "yes", "none"),
        (LOCKD, "auto_disk_leases = 0\n", "yes", "leases"),
        (LOCKD, "", "yes", "this-host"),
        (LOCKD, FILES, "yes", "between-hosts"),
        (LOCKD, FILES, "no", "this-host"),
        (LOCKD, FILES, "unknown", "unknown"),
        (LOCKD, FILES + LVM + SCSI, "yes", "between-hosts"),
        (LOCKD, LVM + SCSI, "yes", "this-host"),
    ],
)
def test_the_verdict(qemu: str, lockd: str, shared: Shared, level: Level) -> None:
    """The least protected kind of disk decides."""
    it = configuration(qemu, lockd)
    storages = {directory: storage(shared) for directory in it.lockspaces.values()}
    verdict = protection_of(it, storages)
    assert verdict.level == level
    assert verdict.summary.endswith(".")


def test_the_driver_of_xen_has_files_of_its_own() -> None:
    """And shares the daemon's."""
    assert [kind.name for kind in kinds_of("libxl")] == [
        "libxl-lockd.conf",
        "virtlockd.conf",
        "libxl.conf",
        "libxl-sanlock.conf",
    ]
    assert set(KINDS) == {
        *(kind.name for kind in kinds_of("qemu")),
        *(kind.name for kind in kinds_of("libxl")),
    }
