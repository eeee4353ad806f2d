"""``lockcfg who``: find the holder of a disk's lock, whether that host lives, and what to do."""

from __future__ import annotations

import os
import sys

from lockcfg.commands.arguments import add_json
from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Find the holder of a lock. Give what you have: the SHA-256 in an error or in a lockspace, the path
of a disk, an LVM UUID, a SCSI id, the name of a guest, or a whole error text of libvirt, QEMU,
virtlockd or lockd ('-' reads it from standard input). The answer names the disk, the guests that
have it, the holder of its lock (host, guest, process, since when), whether that host lives, and the
next safe step.

Run it as root on any host that has the lockspace. It changes nothing. What cannot be seen from
there is called unknown; a silent host is not called off. Exit status: 0 there is an answer, 1
nothing is known of it, 3 the command failed.
"""
EXAMPLES = (
    ("lockcfg who /srv/images/web.qcow2", "by the path of a disk"),
    ("lockcfg who -", "by the error that standard input has: 'virsh start web 2>&1 | …'"),
    ("lockcfg who web --snapshots fleet/", "with the guests of the other hosts that have its disk"),
)

#: How much is read from standard input, in characters.
_MOST = 256 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument(
        "what", nargs="+", metavar="WHAT", help="a name or an error text; - for standard input"
    )
    parser.add_argument(
        "--lockspace",
        action="append",
        default=[],
        metavar="DIR",
        help="look in this lockspace, too (default: those of this host's configuration)",
    )
    parser.add_argument(
        "--snapshots",
        action="append",
        default=[],
        metavar="PATH",
        help="snapshots of other hosts, or a fleet store, to find who else has the disk",
    )
    parser.add_argument(
        "--session",
        action="store_true",
        help="this user's libvirt (the default for other users than root)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    return answer(
        text_of(arguments.what),
        lockspaces=arguments.lockspace,
        snapshots=arguments.snapshots,
        session=arguments.session or os.geteuid() != 0,
        as_json=arguments.json,
    )


def text_of(words: list[str]) -> str:
    """The text to look up. Raises UsageError if it is empty."""
    text = " ".join(words)
    if words == ["-"]:
        text = sys.stdin.buffer.read(_MOST).decode("utf-8", "surrogateescape")
    if not text.strip():
        raise UsageError("nothing to look for", help="give a name, a path or an error text")
    return text


def answer(
    text: str, *, lockspaces: list[str], snapshots: list[str], session: bool, as_json: bool
) -> int:
    """Ask, and print the answer; returns the exit status."""
    from lockcfg.report import who as report
    from lockcfg.who.ask import ask

    found = ask(text, session=session, lockspaces=lockspaces, snapshots=snapshots)
    if as_json:
        report.write_json(found)
    else:
        report.write_text(found)
    return int(found.is_empty)
