"""``lockcfg completion``: what a shell needs to complete our command lines."""

from __future__ import annotations

import sys

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


SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    sys.stdout.write(prepared(f"completion.{arguments.shell}"))
    return 0
