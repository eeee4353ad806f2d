"""``lockcfg rules``: the catalogue of the linter and the audit."""

from __future__ import annotations

import json
import sys

from lockcfg.commands.arguments import add_json
from lockcfg.report import terminal
from lockcfg.resources import prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = (
    "List the rules of 'lockcfg lint' and 'lockcfg audit' with their codes, names and severities."
)
EXAMPLES = (("lockcfg rules", "all rules"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    text = prepared("rules.json")
    if arguments.json:
        sys.stdout.write(text)
        return 0
    columns = ("code", "name", "severity", "summary")
    rows = [[rule[column] for column in columns] for rule in json.loads(text)["rules"]]
    terminal.stdout().table(rows)
    return 0
