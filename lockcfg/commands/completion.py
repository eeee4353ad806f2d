"""``lockcfg completion``: what a shell needs to complete our command lines."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "print a completion script for a shell"
DESCRIPTION = "Print a script that makes a shell complete the commands, options and settings."
EXAMPLES = (
    (
        "lockcfg completion bash > /usr/share/bash-completion/completions/lockcfg",
        "for every user of bash on this machine",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    import shtab

    from lockcfg.main import full_parser

    sys.stdout.write(shtab.complete(full_parser(), shell=arguments.shell) + "\n")
    return 0
