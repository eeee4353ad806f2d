"""``lockcfg explain``: the manual of a rule, and of anything else what ``lockcfg who`` tells."""

from __future__ import annotations

import os
import re

from lockcfg.commands.arguments import add_json
from lockcfg.errors import UsageError
from lockcfg.fleet.rules import TABLE as AUDIT_TABLE
from lockcfg.fleet.rules import audit_rule
from lockcfg.report import terminal
from lockcfg.rules import TABLE, rule_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Print the manual of a rule: what it does, why, an example, and what to write instead. For anything
else (an error text, a lock, a disk, a guest) print what 'lockcfg who' prints.
"""
EXAMPLES = (
    ("lockcfg explain LK104", "or: lockcfg explain duplicate-key"),
    ("lockcfg explain -", "the error of libvirt, QEMU or a lock daemon that standard input has"),
)


#: The pattern of codes and names of rules.
_CODE = re.compile(r"L[AK]\d\w{0,4}", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument(
        "what", nargs="+", metavar="WHAT", help="a code or a name, or what 'lockcfg who' takes"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    wanted = " ".join(arguments.what)
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
    if _CODE.fullmatch(wanted):
        raise UsageError(f"no rule is called '{wanted}'", help="'lockcfg rules' lists them")
    from lockcfg.commands import who

    return who.answer(
        who.text_of(arguments.what),
        lockspaces=[],
        snapshots=[],
        session=os.geteuid() != 0,
        as_json=arguments.json,
    )
