"""``lockcfg explain``: the manual of a rule."""

from __future__ import annotations

from lockcfg.commands.arguments import add_json
from lockcfg.errors import UsageError
from lockcfg.fleet.rules import TABLE as AUDIT_TABLE
from lockcfg.fleet.rules import audit_rule
from lockcfg.report import terminal
from lockcfg.rules import TABLE, rule_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = (
    "Print the manual of a rule: what it does, why, an example, and what to write instead."
)
EXAMPLES = (("lockcfg explain LK104", "or: lockcfg explain duplicate-key"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("rule", metavar="RULE", help="a code or a name")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    wanted = arguments.rule
    for name in (*TABLE, *AUDIT_TABLE):
        code, slug = name[:5].upper(), name[6:].replace("_", "-")
        if wanted.upper() == code or wanted == slug:
            module = audit_rule(name) if name in AUDIT_TABLE else rule_module(name)
            if arguments.json:
                from lockcfg.report import jsonreport

                manual = module.__doc__ or ""
                jsonreport.write({"code": code, "name": slug, "manual": manual})
                return 0
            out = terminal.stdout()
            out.line(f"{out.style(code, 'bold')} {slug} ({module.RULE.severity})")
            out.line()
            for line in (module.__doc__ or "").rstrip().splitlines():
                out.line(out.style(line, "bold") if line.startswith("## ") else line)
            return 0
    raise UsageError(f"no rule is called '{wanted}'", help="'lockcfg rules' lists them")
