"""STATUS: the state of the daemon. It answers with an object."""

from __future__ import annotations

import json
import os

from lockd import __version__
from lockd.kernel.needs import lacks
from lockd.survival.handover import SUPERVISED
from lockd.survival.journal import FORMAT
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """The version, the keeper of the locks, their number, and what is wrong with them."""
    table = context.engine.table
    resources = [*table.resources()]
    status = {
        "version": __version__,
        "pid": os.getpid(),
        "journal_format": FORMAT,
        "since": context.since,
        "supervised": SUPERVISED in os.environ,
        "keeper": "none" if not context.keeper else context.keeper.lost or "ok",
        "lockspaces": [directory for directory in table.spaces if directory],
        "clients": {
            name: {"connected": len(service.clients), "max": service.max_clients}
            for name, service in context.services.items()
        },
        "locks": len(resources),
        "problems": [
            *({"path": path, "problem": problem} for path, problem in context.remotes.silent()),
            *({"path": each.path, "problem": each.problem} for each in resources if each.problem),
            *({"path": each.path, "problem": each.problem} for each in table.stuck()),
            *({"path": which, "problem": problem} for which, problem in context.guests.problems()),
            *(
                {"path": which, "problem": problem}
                for which, problem in context.failures.problems()
            ),
        ],
        "warnings": context.warnings,
        "lacks": lacks(context.services["virtlockd"].max_clients),
        "not_handed_back": context.not_handed_back(),
    }
    return pack_string(json.dumps(status))
