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
    from lockcfg.rules.rule import Options, Rule, RuleFinding, Scope

    class RuleModule(Protocol):
        """The interface of a module of this package."""

        RULE: Rule

        def check(self, subject: Any, options: Options) -> Iterable[RuleFinding]:
            """The findings of the rule about its subject; the scope of the rule says what the
            subject is."""


#: The modules of the rules, by code, and the scope of each: a run loads the modules that it needs.
TABLE: Final[dict[str, Scope]] = {
    "lk101_syntax": "file",
    "lk102_unknown_key": "file",
    "lk103_wrong_file": "file",
    "lk104_duplicate_key": "file",
    "lk105_wrong_type": "file",
    "lk106_bad_value": "file",
    "lk107_integer_overflow": "file",
    "lk108_not_utf8": "file",
    "lk109_version": "file",
    "lk110_stock_lens": "file",
    "lk113_quotes_in_value": "file",
    "lk114_list_in_string": "file",
    "lk201_no_lock_manager": "host",
    "lk202_lock_manager_off": "host",
    "lk203_lockd_not_in_use": "host",
    "lk204_dead_lockspace": "host",
    "lk205_sample_trap": "host",
    "lk206_no_leases": "host",
    "lk207_block_devices_direct": "host",
    "lk208_lockspace_path": "host",
    "lk209_lockspaces_shared": "host",
    "lk210_lockspace_local_path": "host",
    "lk211_lockspace_in_images": "host",
    "lk212_lockspace_label": "host",
    "lk214_scsi_lockspace_alone": "host",
    "lk215_lockfailure_ignored": "host",
    "lk301_max_clients_too_small": "host",
    "lk302_max_clients_zero": "file",
    "lk303_max_clients_descriptors": "file",
    "lk304_log_filters": "file",
    "lk305_log_outputs": "file",
    "lk401_password_tracked": "file",
    "lk402_password_readable": "file",
    "lk501_duplicate_host": "repository",
    "lk502_unused_file": "repository",
    "lk503_odd_one_out": "repository",
    "lk504_sanlock_host_id": "repository",
    "lk505_sanlock_misread": "file",
    "lk506_sanlock_without_watchdog": "file",
    "lk901_waiver_expired": "run",
    "lk902_waiver_unneeded": "run",
    "lk903_waiver_without_reason": "run",
    "lk904_baseline_stale": "run",
    "lk905_unknown_rule_in_waiver": "run",
}

#: The rules that ``lockcfg validate`` runs, and that a transaction runs before it writes.
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

#: The rules among them that find what keeps a daemon from starting.
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

__all__ = [
    "STOPPING",
    "TABLE",
    "VALIDATING",
    "check",
    "code_and_name",
    "rule_module",
    "syntax_finding",
]


def rule_module(name: str) -> RuleModule:
    """The module of a rule, by its name in :data:`TABLE`."""
    from importlib import import_module

    module: RuleModule = import_module(f"lockcfg.rules.{name}")
    return module


def code_and_name(module: str) -> tuple[str, str]:
    """The code and the name of a rule, from the name of its module: ``LK102`` and
    ``unknown-key``."""
    return module[:5].upper(), module[6:].replace("_", "-")


def check(
    document: Document,
    release: tuple[int, ...] | None = None,
    rules: Sequence[str] = VALIDATING,
) -> list[Finding]:
    """The findings about ``document``: would libvirt start with it, and read what is written?

    ``release`` is the release of libvirt, such as ``(11, 3, 0)``; by default it is the newest.
    ``rules`` are the modules to run. The findings are in the order of the file, and for one place
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
