"""The lock daemons that are held against each other: ours and libvirt's, started the same way."""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from tests.real.shared.hosts import Host

VIRTLOCKD: Final = Path("/usr/sbin/virtlockd")
LOCKD: Final = Path(sys.executable).parent / "lockd"

#: Where a lock daemon listens, on its host.
SOCKET: Final = "/run/libvirt/virtlockd-sock"

#: Where ours is asked how it does, and where a lock daemon logs to.
ADMIN_SOCKET: Final = "/run/libvirt/virtlockd-admin-sock"
LOG: Final = "/var/log/libvirt/virtlockd.log"

#: The process id of a lock daemon: of ours the supervisor's.
PID_FILE: Final = "/run/lock-daemon.pid"

_START: Final = f'"$@" --daemon --pid-file {PID_FILE}; test -S {SOCKET}'
_STOP: Final = f"""
pid=$(cat {PID_FILE})
kill "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
"""


@contextlib.contextmanager
def lock_daemons(hosts: Sequence[Host], programs: Sequence[Path], *options: str) -> Iterator[None]:
    """Lock daemons, :data:`VIRTLOCKD` or :data:`LOCKD`, one on each host, that run for a while."""
    # All at once: on an emulated processor a start takes seconds.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host, program: host.sh(_START, program, *options), hosts, programs))
    try:
        yield
    finally:
        for host in hosts:
            host.sh(_STOP)
