"""STATUS: how the daemon does. It answers with an object."""

from __future__ import annotations

import json
import os

from lockd import __version__
from lockd.survival.journal import FORMAT
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.daemon.daemon import Daemon
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(daemon: Daemon, session: Session, arguments: Reader) -> bytes:
    """What it is, who keeps its locks, how many there are, and what is wrong with them."""
    resources = [*daemon.engine.resources()]
    status = {
        "version": __version__,
        "pid": os.getpid(),
        "journal_format": FORMAT,
        "since": daemon.since,
        "keeper": "none" if not daemon.keeper else daemon.keeper.lost or "ok",
        "lockspaces": [directory for directory in daemon.engine.spaces if directory],
        "clients": {
            name: {"connected": len(service.clients), "max": service.max_clients}
            for name, service in daemon.services.items()
        },
        "locks": len(resources),
        "problems": [
            *({"path": path, "problem": problem} for path, problem in daemon.remotes.silent()),
            *({"path": each.path, "problem": each.problem} for each in resources if each.problem),
        ],
        "warnings": daemon.settings.warnings,
    }
    return pack_string(json.dumps(status))
