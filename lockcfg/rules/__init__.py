"""The rules: one file each, and the table of them.

To add one, write its file and put its name in :data:`TABLE`. A test compares the table with the
folder and runs the examples of every manual.
"""

from __future__ import annotations

from lockcfg.rules.lk101_syntax import finding as syntax_finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, Protocol

    from lockcfg.conf.document import Document
    from lockcfg.findings import Finding
    from lockcfg.rules.rule import Found, Options, Rule

    class RuleModule(Protocol):
        """What a module of this package holds."""

        RULE: Rule

        def check(self, subject: Any, options: Options) -> Iterable[Found]:
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
)

#: Those that ``lockcfg validate`` runs, and a transaction before it writes.
VALIDATING: Final = TABLE[:8]

__all__ = ["TABLE", "VALIDATING", "check", "rule_module", "syntax_finding"]


def rule_module(name: str) -> RuleModule:
    """The module of a rule, by its name in :data:`TABLE`."""
    from importlib import import_module

    module: RuleModule = import_module(f"lockcfg.rules.{name}")
    return module


def check(document: Document) -> list[Finding]:
    """What is wrong with ``document``: would libvirt start with it, and read what is written?

    The findings are in the order of the file, and for one place in the order of the rules.
    """
    from lockcfg.rules.rule import FileSubject, Options

    subject, options = FileSubject(document), Options()
    findings = [
        found.finding for name in VALIDATING for found in rule_module(name).check(subject, options)
    ]
    findings.sort(key=lambda finding: finding.place.line if finding.place else 0)
    return findings
