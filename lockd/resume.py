"""``lockd resume``: resume a guest that is paused because another guest may have had its disk."""

from __future__ import annotations

import argparse
import sys

from lockd.programs.inspect import RESUME
from lockd.query import QueryError, ask, call
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str], address: str) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="lockd resume",
        description="Resume a guest that lockd has paused because its lock was lost and another"
        " guest may have had its disk meanwhile. Check the disk first. lockd refuses"
        " as long as the lock is not held again. Exit status: 0 the guest runs, 1"
        " refused, 2 wrong usage, 3 the command failed.",
        allow_abbrev=False,
    )
    parser.add_argument("guest", help="the guest, by name or UUID")
    parser.add_argument("--socket", default=address, help=f"the admin socket ({address})")
    options = parser.parse_args(arguments[1:])
    payload = pack_string(options.guest)
    try:
        answer = ask(options.socket, lambda connection: call(connection, RESUME, payload))
    except QueryError as error:
        sys.stderr.write(f"lockd resume: {error}\n")
        return 3
    if answer["refused"]:
        sys.stderr.write(f"lockd resume: {answer['refused']}\n")
        return 1
    return 0
