"""``lockcfg release``: free what a dead host still holds."""

from __future__ import annotations

import os

from lockcfg.commands.arguments import add_json
from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Free the locks that a host still holds although it is switched off, and nothing else, by the means
of the storage: run it on the file server. On an NFS server it expires the NFSv4 client of that
host, and tells statd that its NFSv3 client has started again, which ends the locks of that client
alone. On a GlusterFS server with a brick it clears the locks of files that only that host holds,
where the volume is mounted. For other storage it says what to do, and where. It never removes a
lock file.

It takes proof that the host is off: the status of a fence agent, the answer of a power controller,
or your own word, letter by letter. Each is written into an audit record first. A host that gives a
sign of life (a heartbeat, a lease that is renewed) keeps its locks, whatever was proved; your word
alone counts only for a host that has been silent for a while.

Exit status: 0 its locks are freed, 1 there is no proof, or the host lives, 2 wrong usage, 3 nothing
or not all could be freed from here.
"""
EXAMPLES = (
    (
        "lockcfg release --host kvm07 --confirmed-dead --proof fence -- fence_apc -n 7 -o status",
        "a fence agent says that it is off",
    ),
    (
        "lockcfg release --host kvm07 --confirmed-dead --proof power -- ipmitool power status",
        "a power controller says so",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("--host", required=True, metavar="NAME", help="the host that is off")
    parser.add_argument(
        "--confirmed-dead",
        action="store_true",
        help="confirm that the host is off; without this option nothing is done",
    )
    parser.add_argument(
        "--proof",
        choices=("fence", "power", "word"),
        required=True,
        help="the kind of proof that it is off",
    )
    parser.add_argument("--word", default="", metavar="TEXT", help="what --proof word takes")
    parser.add_argument(
        "--address", default="", help="the host's address, where several clients have its name"
    )
    parser.add_argument(
        "--lockspace",
        action="append",
        default=[],
        metavar="DIR",
        help="look for its heartbeat in this lockspace, too",
    )
    parser.add_argument(
        "--audit-file", metavar="FILE", help="the record (/var/log/lockcfg-release.jsonl)"
    )
    parser.add_argument(
        "-n",
        "--dry-run",
        action="store_true",
        help="check the host and the proof, but free nothing",
    )
    add_json(parser)
    parser.add_argument(
        "command", nargs="*", metavar="COMMAND", help="behind --: what asks the controller"
    )


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    from lockcfg.release.own import is_name
    from lockcfg.release.proof import proof_of
    from lockcfg.release.record import PATH, AuditRecord
    from lockcfg.release.release import release
    from lockcfg.report import jsonreport, terminal

    host = arguments.host
    for option, name in (("--host", host), ("--address", arguments.address or host)):
        if not is_name(name):
            raise UsageError(f"{option}: {name!r} is not the name or the address of a host")
    if not arguments.confirmed_dead:
        raise UsageError(
            f"nothing is done: {host} is not confirmed to be off",
            help="a host that does not answer may still write: switch it off first",
        )
    proof = proof_of(arguments.proof, host, arguments.word, arguments.command)
    record = AuditRecord(arguments.audit_file or PATH, host=host)
    screen = terminal.stderr()
    outcome = release(
        host,
        proof,
        [*dict.fromkeys([*arguments.lockspace, *_configured()])],
        record,
        address=arguments.address,
        dry=arguments.dry_run,
        say=lambda text: screen.line(terminal.escape(text)),
    )
    if arguments.json:
        jsonreport.write({"host": host, "proof": proof.record(), **outcome.record()})
    else:
        out = terminal.stdout()
        for text in outcome.freed:
            out.line(terminal.escape(text))
        for text in outcome.left:
            out.line(f"{out.style('left:', 'warning')} {terminal.escape(text)}")
        if not outcome.freed:
            out.line(f"nothing was freed: nothing of {terminal.escape(host)} is held by this host")
    return 0 if outcome.freed else 3


def _configured() -> list[str]:
    """The lockspaces of this host's configuration, if there is any."""
    from lockcfg.errors import LockcfgError
    from lockcfg.host.host import Host, load_host

    try:
        configuration = load_host(Host(session=os.geteuid() != 0))
    except LockcfgError:
        return []
    keys = ("file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir")
    return [each for each in map(configuration.lockspace, keys) if each and each.startswith("/")]
