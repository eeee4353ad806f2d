"""``lockcfg collect``: a snapshot of this host."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr
from io import StringIO

from lockcfg.errors import LockcfgError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Write a snapshot of this host: libvirt's files (without passwords), the mounts that hold locks and
disks, what a scratch lock there did, the daemons and guests with their disks. It changes nothing
but the scratch locks, which it removes, and is done in seconds.

A host needs only Python 3.6 for it: --print-collector prints the program, which is one file. Run it
as root, or parts of the snapshot stay unknown. The snapshots of a fleet are for 'lockcfg audit'.
"""
EXAMPLES = (
    ("lockcfg collect --output kvm01.json", "a snapshot of this host"),
    ("lockcfg collect --print-collector > collect.py", "the program for the other hosts"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    from lockcfg.fleet.snapshots import collector

    collector.add_arguments(parser)
    parser.add_argument(
        "--print-collector", action="store_true", help="print the program and collect nothing"
    )
    parser.add_argument(
        "--json", action="store_true", help="print an error, or the program, as JSON as well"
    )


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    from lockcfg.fleet.snapshots import collector

    if arguments.print_collector:
        with open(collector.__file__, encoding="utf-8") as file:
            program = file.read()
        if arguments.json:
            from lockcfg.report import jsonreport

            jsonreport.write({"program": program})
            return 0
        sys.stdout.write(program)
        return 0
    if not arguments.json:
        return collector.run(arguments)
    # The collector, which stands alone, tells its errors as text.
    with redirect_stderr(StringIO()) as told:
        status = collector.run(arguments)
    if status:
        raise LockcfgError(told.getvalue().strip())
    return 0
