"""The command line of ``lockd takeover`` and ``lockd handback``."""

from __future__ import annotations

import argparse
import subprocess
import sys

from lockd.move.handback import hand_back
from lockd.move.refused import RefusedError
from lockd.move.takeover import take_over
from lockd.query import QueryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str], address: str, aside: str) -> int:
    """Run the command; returns its exit status. ``address`` is the admin socket, ``aside`` a path
    for virtlockd while lockd is in its place."""
    there = arguments[0] == "takeover"
    parser = argparse.ArgumentParser(
        prog=f"lockd {arguments[0]}",
        description=(
            "Put lockd in the place of the running virtlockd, in the same process: guests keep"
            " running, and no lock is free meanwhile."
            if there
            else "Put virtlockd in the place of the running lockd, in the same process: guests"
            " keep running, and no lock is free meanwhile."
        )
        + " Exit status: 0 done, or nothing to do; 1 refused, nothing has changed; 3 failed.",
        allow_abbrev=False,
    )
    parser.add_argument("--dry-run", action="store_true", help="only say whether it would be done")
    if there:
        parser.add_argument(
            "--pid", type=int, help="the process of virtlockd, if there are several"
        )
    else:
        parser.add_argument("--program", help="virtlockd, if it is not where libvirt puts it")
    options = parser.parse_args(arguments[1:])
    try:
        said = take_over(options, address, aside) if there else hand_back(options, address)
    except RefusedError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"lockd {arguments[0]}: {line}\n")
        sys.stderr.write(f"lockd {arguments[0]}: refused: nothing has changed\n")
        return 1
    except (OSError, subprocess.SubprocessError, QueryError) as error:
        sys.stderr.write(f"lockd {arguments[0]}: {error}\n")
        return 3
    sys.stdout.write(f"{said}\n")
    return 0
