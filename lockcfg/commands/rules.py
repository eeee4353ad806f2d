"""``lockcfg rules``: the catalogue of the linter and the audit."""

from __future__ import annotations

from lockcfg.commands.arguments import add_json
from lockcfg.fleet.rules import TABLE as AUDIT_TABLE
from lockcfg.fleet.rules import audit_rule
from lockcfg.report import terminal
from lockcfg.rules import TABLE, rule_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lockcfg.fleet.rules import AuditRule
    from lockcfg.rules import RuleModule

SUMMARY = "list the rules of the linter and the audit"
DESCRIPTION = (
    "List the rules of 'lockcfg lint' and 'lockcfg audit' with their codes, names and severities."
)
EXAMPLES = (("lockcfg rules", "all of them"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    modules: list[RuleModule | AuditRule] = [rule_module(name) for name in TABLE]
    modules += [audit_rule(name) for name in AUDIT_TABLE]
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(
            {
                "rules": [
                    {
                        "code": module.RULE.code,
                        "name": module.RULE.name,
                        "severity": module.RULE.severity,
                        "scope": module.RULE.scope,
                        "fix": module.RULE.fix,
                        "summary": _summary(module.__doc__),
                    }
                    for module in modules
                ]
            }
        )
        return 0
    rows = [
        (module.RULE.code, module.RULE.name, module.RULE.severity, _summary(module.__doc__))
        for module in modules
    ]
    terminal.stdout().table(rows)
    return 0


def _summary(manual: str | None) -> str:
    return (manual or "").partition("\n")[0]
