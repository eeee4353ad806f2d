"""``lockcfg completion``: print what a shell needs to complete lockcfg's command lines."""

from __future__ import annotations

import sys

from lockcfg.commands.arguments import add_json
from lockcfg.resources import prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Print a script that makes a shell complete the commands, options and settings."
EXAMPLES = (
    (
        "lockcfg completion bash > /usr/share/bash-completion/completions/lockcfg",
        "for every user of bash on this machine",
    ),
)


SHELLS = ("bash", "zsh", "fish", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    script = prepared(f"completion.{arguments.shell}")
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write({"shell": arguments.shell, "script": script})
        return 0
    sys.stdout.write(script)
    return 0
