"""What ``import lockcfg`` gives is a promise."""

from __future__ import annotations

import lockcfg

PROMISED = """
    COPIED_FILES KINDS LOCKD LOCKSPACE_KEYS LOOKED_AT BusyError Change ChangedError
    ConfSyntaxError Configuration Document Driver Effective Entry FileKind Finding GuestDisk
    GuestLease Host LockcfgError Locking Meant MeantLock Mount Place Protection Reach ReadError
    RefusedError RunningGuest Setting Severity Span Storage Transaction UnknownKeyError
    UsageError Value WriteError audit_data check collector_program hidden_diff host_elsewhere
    hosts_of_policy libvirt_release load_directory load_file load_host locks_meant named_disks
    new_plan parse plan_data protection_of questions_of read_mounts restart_advice restarts_of
    running_guests settings_of storage_of storages_of summary_of syntax_finding value_of
"""

#: Names of types that exist for the type checker only.
TYPES = {"Driver", "Severity", "Value"}


def test_the_exported_names_are_the_promised_ones() -> None:
    """One more is a decision, one less breaks a program."""
    assert sorted(lockcfg.__all__) == sorted(PROMISED.split())


def test_every_name_can_be_had_and_is_documented() -> None:
    """An exported name that does not import, or does not say what it is, is no export."""
    for name in set(lockcfg.__all__) - TYPES:
        assert getattr(lockcfg, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    assert not hasattr(lockcfg, "no_such_name")
