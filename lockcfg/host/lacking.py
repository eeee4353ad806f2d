"""Finds what the settings of a host need and the host lacks, so that libvirt would not start.

:mod:`lockcfg.host.parts` looks for the parts of a lock manager, in any tree. The checks here run
only on the host itself, never for a tree of files. Each is the check that libvirt makes when it
starts; a test starts libvirtd beside each.
"""

from __future__ import annotations

import os

from lockcfg.conf.settings import settings_of
from lockcfg.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document, Entry, Value

_APPARMOR: Final = "/sys/module/apparmor/parameters/enabled"
_SELINUX: Final = "/sys/fs/selinux/enforce"


def lacking(document: Document) -> list[Finding]:
    """What libvirt needs on this host for the settings of ``document`` and would not find.

    It is for the file of the system's own libvirt only. Each setting has at most one finding, an
    error.
    """
    known = settings_of(document.kind)
    found: list[Finding] = []
    for key, check in _CHECKS.items():
        entry = document.get(key)
        setting = known.get(key)
        if entry is None or setting is None:
            continue
        objection = setting.objection(entry.value, entry.literal)
        if objection is not None and objection.refused:
            continue  # another finding says so already
        for message, advice in check(entry.value):
            found.append(_finding(document, entry, message, advice))
            break
    confined, drivers = document.get("security_require_confined"), document.get("security_driver")
    if confined is not None and confined.value == 1 and (drivers is None or not drivers.value):
        unprotected = "this kernel has neither SELinux nor AppArmor enabled to confine guests"
        if not os.path.exists(_SELINUX) and not _has_apparmor():
            found.append(_finding(document, confined, unprotected, "enable one, or set it to 0"))
    return found


def _finding(document: Document, entry: Entry, message: str, advice: str) -> Finding:
    return Finding(
        "not-on-this-host",
        "error",
        f"'{entry.key}': {message}: libvirt refuses to start",
        path=document.path,
        place=document.place_of(entry),
        key=entry.key,
        help=advice,
    )


def _user(value: Value) -> Iterator[tuple[str, str]]:
    import pwd

    name = str(value)
    if _is_number(name):
        return
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        yield f"there is no user '{name}'", "make it, or name another"


def _group(value: Value) -> Iterator[tuple[str, str]]:
    import grp

    name = str(value)
    if _is_number(name):
        return
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        yield f"there is no group '{name}'", "make it, or name another"


def _is_number(name: str) -> bool:
    digits = name.removeprefix("+")
    return digits.isascii() and digits.isdigit() and int(digits[:11]) < 2**32


def _directory(value: Value) -> Iterator[tuple[str, str]]:
    # libvirt's current directory is /.
    if not value or not os.path.exists(os.path.join("/", str(value))):
        yield f"there is no directory '{value}'", "make it, or take the setting out"


def _huge_pages(value: Value) -> Iterator[tuple[str, str]]:
    from lockcfg.host.storage import mount_of, read_mounts

    mounts = read_mounts()
    for path in value if isinstance(value, tuple) else (value,):
        mount = mount_of(os.path.realpath(str(path)), mounts) if os.path.exists(str(path)) else None
        if mount is None or mount.type != "hugetlbfs":
            yield f"'{path}' is not a hugetlbfs that is mounted", f"mount it: -t hugetlbfs {path}"


def _security_driver(value: Value) -> Iterator[tuple[str, str]]:
    for name in value if isinstance(value, tuple) else (value,):
        if (name == "apparmor" and not _has_apparmor()) or (
            name == "selinux" and not os.path.exists(_SELINUX)
        ):
            yield f"this kernel has no {name} enabled", "name another, or take the setting out"


def _has_apparmor() -> bool:
    try:
        with open(_APPARMOR, encoding="ascii", errors="replace") as file:
            return file.read(1) == "Y"
    except OSError:
        return False


_CHECKS: Final = {
    "security_driver": _security_driver,
    "user": _user,
    "group": _group,
    "swtpm_user": _user,
    "swtpm_group": _group,
    "hugetlbfs_mount": _huge_pages,
    **dict.fromkeys(
        (
            "default_tls_x509_cert_dir",
            "vnc_tls_x509_cert_dir",
            "spice_tls_x509_cert_dir",
            "chardev_tls_x509_cert_dir",
            "migrate_tls_x509_cert_dir",
            "backup_tls_x509_cert_dir",
            "vxhs_tls_x509_cert_dir",
            "nbd_tls_x509_cert_dir",
        ),
        _directory,
    ),
}
