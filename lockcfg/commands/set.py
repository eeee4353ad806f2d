"""``lockcfg set``: change settings, all of them or none."""

from __future__ import annotations

from lockcfg.change.transaction import Transaction, value_of
from lockcfg.commands.arguments import (
    add_file,
    add_host,
    add_json,
    add_writing,
    configured_host,
    kind_of,
)
from lockcfg.commands.writing import finish
from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from lockcfg.findings import Finding

DESCRIPTION = """\
Set one or more settings, in the files they belong in: all of them or, if anything is wrong,
none. A value that libvirt would not start with, or that leaves guests without protection, is
refused.

An integer or a string is written as it is (1, lockd); a list as libvirt writes it
('[ "first", "second" ]'). A new setting goes below the commented-out sample of the same name.
"""
EXAMPLES = (
    ("lockcfg set lock_manager lockd", "have libvirt lock the disks of guests"),
    (
        "lockcfg set file_lockspace_dir /var/lib/libvirt/lockd/files",
        "in a lockspace instead of on the disks themselves",
    ),
    ("lockcfg set --diff max_clients 4096", "show what would change in virtlockd.conf"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument(
        "settings", nargs="+", metavar="KEY VALUE", help="a setting and its value, repeatedly"
    )
    add_file(parser)
    add_json(parser)
    add_writing(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = configured_host(arguments, writes=True)
    named = kind_of(arguments)
    transaction = Transaction(host)
    pairs = dict(_pairs(arguments.settings))
    for key, text in pairs.items():
        kind = named or host.kind_of(key, pairs.get("lock_manager"))
        transaction.set(key, value_of(key, text, kind, host.path(kind)), kind)
    return finish(transaction, arguments, _storage_warnings(transaction, arguments))


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(words) % 2:
        raise UsageError(
            f"'{words[-1]}' has no value", help="say: lockcfg set KEY VALUE [KEY VALUE ...]"
        )
    pairs = list(zip(words[::2], words[1::2], strict=True))
    keys = [key for key, _ in pairs]
    for key in keys:
        if not (key.isascii() and key.replace("_", "a").isalnum() and key[:1].isalpha()):
            raise UsageError(
                f"'{key}' cannot be the name of a setting",
                help="a name is letters, digits and '_', and begins with a letter",
            )
        if keys.count(key) > 1:
            raise UsageError(f"'{key}' is given twice", help="give it once")
    yield from pairs


def _storage_warnings(transaction: Transaction, arguments: argparse.Namespace) -> list[Finding]:
    from lockcfg.host.host import LOCKSPACE_KEYS

    keys = [key for key in LOCKSPACE_KEYS if key in arguments.settings[::2]]
    if not keys:
        return []
    from lockcfg.change.lockspaces import storage_warnings

    return storage_warnings(transaction, keys, try_locks=False)
