"""The rules of the audit: one file each, and the table of them.

A rule has the same form as for the linter (:mod:`lockcfg.rules.rule`): its docstring is its manual,
and ``RULE`` has its code and name. By its scope, ``check`` gets hosts that are alike (a
:class:`~lockcfg.fleet.comparison.groups.Cell`) or the whole fleet; it yields
:class:`~lockcfg.fleet.rules.observation.Observation`. To add a rule, write its file and put its
name in :data:`TABLE`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, Protocol

    from lockcfg.fleet.rules.observation import Observation
    from lockcfg.rules.rule import Rule

    class AuditRule(Protocol):
        """The interface of a module of this package."""

        RULE: Rule

        def check(self, subject: Any, /) -> Iterator[Observation]:
            """The observations of the rule about its subject; the scope of the rule says what the
            subject is."""


#: The modules of the rules, by code.
TABLE: Final = (
    "la101_unprotected",
    "la102_configuration_refused",
    "la103_daemon_absent",
    "la104_daemon_younger_than_guests",
    "la105_configuration_not_in_effect",
    "la106_unknown_to_version",
    "la107_max_clients",
    "la108_other_lock_manager",
    "la109_lock_not_held",
    "la110_lock_not_known",
    "la111_guest_of_another_instance",
    "la112_sanlock_host_id",
    "la113_sanlock_lease_directory",
    "la114_lockfailure_ignored",
    "la201_lockspace_missing",
    "la202_lockspace_local",
    "la203_lockspace_differs",
    "la204_lockspace_other_export",
    "la205_lockspace_locks_off",
    "la206_lockspace_recover_lost_locks",
    "la207_lockspace_nfs3",
    "la208_lockspace_read_only",
    "la209_lockspace_squashed",
    "la210_lockspace_uncertain",
    "la211_lockspace_name_caching",
    "la212_lockspace_probe",
    "la213_probe_locks_unseen",
    "la214_probe_disagrees",
    "la215_probe_incomplete",
    "la301_split_domains",
    "la302_disk_unsafe",
    "la303_two_writers",
    "la304_disk_by_two_paths",
    "la305_silent_fallback",
    "la306_block_device_direct",
    "la307_disk_not_covered",
    "la308_image_locks_stay",
    "la309_disk_uncertain",
    "la310_block_device_without_name",
    "la311_network_disk_shared",
    "la312_guest_runs_twice",
    "la313_chain_not_known",
    "la314_disk_not_seen",
    "la315_device_below_not_known",
    "la316_network_disk_otherwise_reached",
    "la317_device_named_otherwise",
    "la318_direct_lock_dropped",
    "la401_unreadable_snapshot",
    "la402_facts_old",
    "la403_host_missing",
    "la404_duplicate_host",
    "la405_clock_ahead",
    "la406_named_otherwise",
    "la407_facts_incomplete",
    "la501_unlike_policy",
    "la502_waiver_expired",
    "la503_waiver_unneeded",
    "la504_no_policy",
    "la505_odd_one_out",
    "la506_host_in_no_group",
    "la507_word_of_the_policy",
)


def audit_rule(name: str) -> AuditRule:
    """The module of a rule, by its name in :data:`TABLE`."""
    from importlib import import_module

    module: AuditRule = import_module(f"lockcfg.fleet.rules.{name}")
    return module


def names_rule(name: str, code: str, slug: str) -> bool:
    """Whether ``name``, as a policy writes it, names a rule: by its code, by the beginning of its
    code, by its slug, or as ALL."""
    return name in (code, slug, "ALL") or (name.startswith("LA") and code.startswith(name))


def is_rule(name: str) -> bool:
    """Whether ``name`` names any rule of the audit."""
    return any(names_rule(name, each[:5].upper(), each[6:].replace("_", "-")) for each in TABLE)
