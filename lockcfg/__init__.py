"""Read, check and change the configuration of disk locking under libvirt.

The public API; everything else may change. A name is imported when it is first used, so that
a program pays only for what it needs.

Reading: :func:`load_file`, :func:`load_directory`, :func:`parse` give :class:`Document`;
:func:`load_host` gives the :class:`Configuration` in force on a :class:`Host`. Checking:
:func:`check` gives :class:`Finding`; :func:`protection_of` a verdict. Changing:
:class:`Transaction`. Elsewhere: :func:`host_elsewhere` makes a host of copies of its files, for a
program that manages hosts from afar; :func:`collector_program` runs on any host and makes a
snapshot of it. A fleet: :func:`audit_data` and :func:`plan_data` return the results of the
commands; :func:`new_plan` and :func:`questions_of` are the two rounds of a probe. Running guests:
:func:`running_guests` gives :class:`RunningGuest`; :func:`locks_meant` the locks that one should
hold by the configuration.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.change.effect import restart_advice, restarts_of
    from lockcfg.change.transaction import Change, Transaction, value_of
    from lockcfg.change.verdict import storages_of
    from lockcfg.conf.document import Document, Entry, Span, Value
    from lockcfg.conf.files import KINDS, LOCKD, Driver, FileKind
    from lockcfg.conf.load import load_directory, load_file, parse
    from lockcfg.conf.settings import Setting, settings_of
    from lockcfg.errors import (
        BusyError,
        ChangedError,
        ConfSyntaxError,
        LockcfgError,
        ReadError,
        RefusedError,
        UnknownKeyError,
        UsageError,
        WriteError,
    )
    from lockcfg.findings import Finding, Place, Severity
    from lockcfg.fleet.model.summary import summary_of
    from lockcfg.fleet.policy.hosts import hosts_of_policy
    from lockcfg.fleet.snapshots.probing import collector_program, new_plan, questions_of
    from lockcfg.host.copies import COPIED_FILES, LOOKED_AT, host_elsewhere
    from lockcfg.host.host import (
        LOCKSPACE_KEYS,
        Configuration,
        Effective,
        Host,
        Locking,
        load_host,
    )
    from lockcfg.host.installed import libvirt_release
    from lockcfg.host.protection import Protection, Reach, protection_of
    from lockcfg.host.storage import Mount, Storage, read_mounts, storage_of
    from lockcfg.report.audit.data import audit_data, plan_data
    from lockcfg.report.changes import hidden_diff
    from lockcfg.rules import check, syntax_finding
    from lockcfg.running.guests import (
        GuestDisk,
        GuestLease,
        RunningGuest,
        named_disks,
        running_guests,
    )
    from lockcfg.running.meant import Meant, MeantLock, locks_meant

__all__ = [
    "COPIED_FILES",
    "KINDS",
    "LOCKD",
    "LOCKSPACE_KEYS",
    "LOOKED_AT",
    "BusyError",
    "Change",
    "ChangedError",
    "ConfSyntaxError",
    "Configuration",
    "Document",
    "Driver",
    "Effective",
    "Entry",
    "FileKind",
    "Finding",
    "GuestDisk",
    "GuestLease",
    "Host",
    "LockcfgError",
    "Locking",
    "Meant",
    "MeantLock",
    "Mount",
    "Place",
    "Protection",
    "Reach",
    "ReadError",
    "RefusedError",
    "RunningGuest",
    "Setting",
    "Severity",
    "Span",
    "Storage",
    "Transaction",
    "UnknownKeyError",
    "UsageError",
    "Value",
    "WriteError",
    "audit_data",
    "check",
    "collector_program",
    "hidden_diff",
    "host_elsewhere",
    "hosts_of_policy",
    "libvirt_release",
    "load_directory",
    "load_file",
    "load_host",
    "locks_meant",
    "named_disks",
    "new_plan",
    "parse",
    "plan_data",
    "protection_of",
    "questions_of",
    "read_mounts",
    "restart_advice",
    "restarts_of",
    "running_guests",
    "settings_of",
    "storage_of",
    "storages_of",
    "summary_of",
    "syntax_finding",
    "value_of",
]

_HOMES = {
    "lockcfg.rules": ("check", "syntax_finding"),
    "lockcfg.conf.document": ("Document", "Entry", "Span"),
    "lockcfg.conf.files": ("KINDS", "LOCKD", "FileKind"),
    "lockcfg.conf.load": ("load_directory", "load_file", "parse"),
    "lockcfg.conf.settings": ("Setting", "settings_of"),
    "lockcfg.errors": (
        "BusyError",
        "ChangedError",
        "ConfSyntaxError",
        "LockcfgError",
        "ReadError",
        "RefusedError",
        "UnknownKeyError",
        "UsageError",
        "WriteError",
    ),
    "lockcfg.findings": ("Finding", "Place"),
    "lockcfg.host.host": (
        "LOCKSPACE_KEYS",
        "Configuration",
        "Effective",
        "Host",
        "Locking",
        "load_host",
    ),
    "lockcfg.host.installed": ("libvirt_release",),
    "lockcfg.change.effect": ("restart_advice", "restarts_of"),
    "lockcfg.change.verdict": ("storages_of",),
    "lockcfg.fleet.model.summary": ("summary_of",),
    "lockcfg.fleet.policy.hosts": ("hosts_of_policy",),
    "lockcfg.fleet.snapshots.probing": ("collector_program", "new_plan", "questions_of"),
    "lockcfg.host.copies": ("COPIED_FILES", "LOOKED_AT", "host_elsewhere"),
    "lockcfg.report.audit.data": ("audit_data", "plan_data"),
    "lockcfg.report.changes": ("hidden_diff",),
    "lockcfg.host.protection": ("Protection", "Reach", "protection_of"),
    "lockcfg.host.storage": ("Mount", "Storage", "read_mounts", "storage_of"),
    "lockcfg.change.transaction": ("Change", "Transaction", "value_of"),
    "lockcfg.running.guests": (
        "GuestDisk",
        "GuestLease",
        "RunningGuest",
        "named_disks",
        "running_guests",
    ),
    "lockcfg.running.meant": ("Meant", "MeantLock", "locks_meant"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'lockcfg' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
