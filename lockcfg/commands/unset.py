"""``lockcfg unset``: take settings out, so that libvirt's defaults hold."""

from __future__ import annotations

from lockcfg.change.transaction import Transaction
from lockcfg.commands.arguments import (
    add_file,
    add_host,
    add_json,
    add_writing,
    configured_host,
    kind_of,
)
from lockcfg.commands.writing import finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Take settings out of their files, so that libvirt's defaults hold: all of them or none. The
line goes; a commented-out sample of the setting stays.
"""
EXAMPLES = (("lockcfg unset scsi_lockspace_dir", "no longer lock SCSI volumes by their id"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("keys", nargs="+", metavar="KEY", help="a setting")
    add_file(parser)
    add_json(parser)
    add_writing(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = configured_host(arguments)
    named = kind_of(arguments)
    transaction = Transaction(host)
    for key in arguments.keys:
        transaction.unset(key, named or host.kind_of(key))
    return finish(transaction, arguments)
