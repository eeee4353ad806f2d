"""``lockcfg disable``: turn disk locking off, knowingly."""

from __future__ import annotations

from lockcfg.change.transaction import Transaction
from lockcfg.commands.arguments import add_host, add_json, add_writing, configured_host
from lockcfg.commands.writing import finish
from lockcfg.host.host import LOCKSPACE_KEYS, driver_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Take lock_manager out, so that libvirt starts guests without locking their disks. The
lockspace directories stay set, for the day it is turned on again, unless --lockspaces takes
them out too. No directory is removed.
"""
EXAMPLES = (("lockcfg disable --diff", "show what turning it off would change"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument(
        "--lockspaces", action="store_true", help="take the lockspace directories out too"
    )
    add_json(parser)
    add_writing(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = configured_host(arguments)
    transaction = Transaction(host, unprotected=True)
    transaction.unset("lock_manager", driver_kind(host.driver))
    if arguments.lockspaces:
        for key in LOCKSPACE_KEYS:
            transaction.unset(key)
    return finish(transaction, arguments)
