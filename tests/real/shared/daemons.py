"""The lock daemons that are held against each other: ours and libvirt's, started the same way."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tests.real.shared.hosts import Host

VIRTLOCKD: Final = Path("/usr/sbin/virtlockd")
LOCKD: Final = Path(sys.executable).parent / "lockd"

#: Where a lock daemon listens, on its host.
SOCKET: Final = "/run/libvirt/virtlockd-sock"

_PID_FILE: Final = "/run/lock-daemon.pid"

_START: Final = f'"$1" --daemon --pid-file {_PID_FILE}; test -S {SOCKET}'
_STOP: Final = f"""
pid=$(cat {_PID_FILE})
kill "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
"""


@contextlib.contextmanager
def lock_daemon(host: Host, program: Path) -> Iterator[None]:
    """A lock daemon, :data:`VIRTLOCKD` or :data:`LOCKD`, that runs on a host for a while."""
    host.sh(_START, program)
    yield
    host.sh(_STOP)
