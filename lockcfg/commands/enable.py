"""``lockcfg enable``: libvirt's page on virtlockd in one step."""

from __future__ import annotations

from lockcfg.change.lockspaces import create, storage_warnings
from lockcfg.change.transaction import Transaction
from lockcfg.commands.arguments import add_host, add_json, add_writing, configured_host
from lockcfg.commands.writing import finish
from lockcfg.errors import UsageError
from lockcfg.findings import Finding
from lockcfg.host.host import driver_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Have libvirt lock the disks of its guests with its lock daemon (lock_manager = "lockd"), and say
where: without a lockspace directory a lock is taken on the disk itself, which other hosts see only
where the disk's file system carries locks; with one, on a file in that directory, which should be
on a file system that all hosts share. A setting in qemu-lockd.conf that prevents this
(auto_disk_leases = 0) is changed too.

The command refuses if disks would still not be locked: if libvirt would not start with the files,
or its plugin or the daemon is not installed. It also refuses on a host that sanlock protects, as
its guests and those of the other hosts would no longer exclude each other. To change to lockd, use
--force on all hosts that share disks, while no guest runs on any of them.

The command checks each directory and locks a scratch file in it. A problem is only a warning, as
the directory may be mounted later.
"""
EXAMPLES = (
    ("lockcfg enable", "lock disks themselves"),
    (
        "lockcfg enable --create --file-lockspace /srv/locks/files --lvm-lockspace /srv/locks/lvm",
        "lock files in shared directories, and make the directories",
    ),
)

_OPTIONS = {
    "file_lockspace_dir": "a lockspace directory for disks by the hash of their path",
    "lvm_lockspace_dir": "a lockspace directory for logical volumes by their UUID",
    "scsi_lockspace_dir": "a lockspace directory for SCSI volumes by their id",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    for key, what in _OPTIONS.items():
        option = "--" + key.removesuffix("_dir").replace("_", "-")
        parser.add_argument(option, dest=key, metavar="DIR", help=what)
    parser.add_argument(
        "--create", action="store_true", help="make the directories that are missing (mode 0700)"
    )
    add_json(parser)
    add_writing(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = configured_host(arguments, writes=True)
    lockspaces = {
        key: directory for key in _OPTIONS if (directory := getattr(arguments, key)) is not None
    }
    for key, directory in lockspaces.items():
        if not directory.startswith("/"):
            option = "--" + key.removesuffix("_dir").replace("_", "-")
            raise UsageError(f"{option} {directory}: must be an absolute path")
    transaction = Transaction(host)
    for key, directory in lockspaces.items():
        transaction.set(key, directory)
    repairs = _lock_all_disks(transaction)
    transaction.set("lock_manager", "lockd", driver_kind(host.driver))
    dry = arguments.dry_run or arguments.diff
    refused = bool(transaction.objections()) and not arguments.force
    if arguments.create and not dry and not refused:
        for directory in lockspaces.values():
            create(host, directory)
    return finish(
        transaction,
        arguments,
        [*repairs, *storage_warnings(transaction, lockspaces, try_locks=not dry)],
    )


def _lock_all_disks(transaction: Transaction) -> list[Finding]:
    """Let lockd lock every disk, whatever the files say. Returns what to tell the user."""
    entry = transaction.configuration().documents["lockd"].get("auto_disk_leases")
    if entry is None or transaction.configuration().auto_disk_leases:
        return []
    document = transaction.configuration().documents["lockd"]
    transaction.set("auto_disk_leases", 1, document.kind)
    return [
        Finding(
            "auto-disk-leases",
            "info",
            "auto_disk_leases was 0, so no disk was locked: it is now 1",
            path=document.path,
            place=document.place_of(entry),
            key="auto_disk_leases",
        )
    ]
