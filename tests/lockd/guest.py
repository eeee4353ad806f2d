"""A guest's process, as far as a lock daemon sees one: ``python -m tests.lockd.guest SOCKET
LOCKSPACE NAME…`` locks resources for itself and holds them; then it answers lines of its standard
input. ``asked`` makes a call and prints whether the connection still works; the end of the input
ends it.
"""

from __future__ import annotations

import sys

from tests.lockd.client import CallRefusedError, Client


def main(socket: str, lockspace: str, *names: str) -> None:
    """Hold the locks until the input ends."""
    with Client(socket, timeout=60) as client:
        client.register("guest")
        client.create_lockspace(lockspace)
        for name in names:
            client.acquire(lockspace, name)
        print("holds", flush=True)
        for _ in sys.stdin:
            try:
                client.acquire(lockspace, names[0])
            except CallRefusedError as error:
                print(error.refused.message, flush=True)
            except EOFError:
                print("hung up", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
