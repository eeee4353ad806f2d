"""The rules: one file each, and the table of them.

To add one, write its file and put its name in :data:`TABLE`. A test compares the table with the
folder and runs the examples of every manual.
"""

from __future__ import annotations

from lockcfg.rules.lk101_syntax import finding as syntax_finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final, Protocol

    from lockcfg.conf.document import Document
    from lockcfg.findings import Finding
    from lockcfg.rules.rule import Options, Rule, RuleFinding

    class RuleModule(Protocol):
        """What a module of this package holds."""

        RULE: Rule

        def check(self, subject: Any, options: Options) -> Iterable[RuleFinding]:
            """What the rule finds in its subject, which is of the kind that its scope says."""


#: The modules of the rules, by code.
TABLE: Final = (
    "lk101_syntax",
    "lk102_unknown_key",
    "lk103_wrong_file",
    "lk104_duplicate_key",
    "lk105_wrong_type",
    "lk106_bad_value",
    "lk107_integer_overflow",
    "lk108_not_utf8",
    "lk109_version",
    "lk110_stock_lens",
    "lk113_quotes_in_value",
    "lk114_list_in_string",
    "lk201_no_lock_manager",
    "lk202_lock_manager_off",
    "lk203_lockd_not_in_use",
    "lk204_dead_lockspace",
    "lk205_sample_trap",
    "lk206_no_leases",
    "lk207_block_devices_direct",
    "lk208_lockspace_path",
    "lk209_lockspaces_shared",
    "lk210_lockspace_local_path",
    "lk211_lockspace_in_images",
    "lk212_lockspace_label",
    "lk214_scsi_lockspace_alone",
    "lk301_max_clients_too_small",
    "lk302_max_clients_zero",
    "lk303_max_clients_descriptors",
    "lk304_log_filters",
    "lk305_log_outputs",
    "lk401_password_tracked",
    "lk402_password_readable",
    "lk501_duplicate_host",
    "lk502_unused_file",
    "lk503_odd_one_out",
    "lk504_sanlock_host_id",
    "lk505_sanlock_misread",
    "lk506_sanlock_without_watchdog",
    "lk901_waiver_expired",
    "lk902_waiver_unneeded",
    "lk903_waiver_without_reason",
    "lk904_baseline_stale",
    "lk905_unknown_rule_in_waiver",
)

#: Those that ``lockcfg validate`` runs, and a transaction before it writes.
VALIDATING: Final = (
    "lk101_syntax",
    "lk102_unknown_key",
    "lk103_wrong_file",
    "lk104_duplicate_key",
    "lk105_wrong_type",
    "lk106_bad_value",
    "lk107_integer_overflow",
    "lk108_not_utf8",
    "lk113_quotes_in_value",
    "lk114_list_in_string",
    "lk302_max_clients_zero",
    "lk304_log_filters",
    "lk305_log_outputs",
    "lk505_sanlock_misread",
)

#: Those of them that know what keeps a daemon from starting.
STOPPING: Final = tuple(
    name
    for name in VALIDATING
    if name
    not in (
        "lk102_unknown_key",
        "lk103_wrong_file",
        "lk104_duplicate_key",
        "lk108_not_utf8",
        "lk505_sanlock_misread",
    )
)

__all__ = ["STOPPING", "TABLE", "VALIDATING", "check", "rule_module", "syntax_finding"]


def rule_module(name: str) -> RuleModule:
    """The module of a rule, by its name in :data:`TABLE`."""
    from importlib import import_module

    module: RuleModule = import_module(f"lockcfg.rules.{name}")
    return module


def check(
    document: Document,
    release: tuple[int, ...] | None = None,
    rules: Sequence[str] = VALIDATING,
) -> list[Finding]:
    """What is wrong with ``document``: would libvirt start with it, and read what is written?

    ``release`` is that of the libvirt in question, such as ``(11, 3, 0)``; without it, the newest.
    ``rules`` are the modules to ask. The findings are in the order of the file, and for one place
    in the order of the rules.
    """
    from lockcfg.rules.rule import FileSubject, Options

    subject, options = FileSubject(document), Options(libvirt_version=release)
    grammar = document.kind.grammar
    modules = [rule_module(name) for name in rules]
    findings = [
        found.finding
        for module in modules
        if grammar in module.RULE.grammars
        for found in module.check(subject, options)
    ]
    findings.sort(key=lambda finding: finding.place.line if finding.place else 0)
    return findings
