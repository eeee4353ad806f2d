"""SERVER_SET_THREADPOOL_PARAMETERS: change the worker threads of a service.

Arguments: service, parameters, flags.

lockd's services have none and cannot get any, except priority workers; that number is remembered,
but has no effect.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import read_settings
from lockd.wire.fault import FROM_NONE, INVALID_ARG, fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Remember the number of priority workers."""
    known = ("minWorkers", "maxWorkers", "prioWorkers")
    service, workers = read_settings(
        context, arguments, known, "adminServerSetThreadPoolParameters"
    )
    most = workers.get("maxWorkers", 0)
    if workers.get("minWorkers", 0) > most:
        raise fault(INVALID_ARG, FROM_NONE, "minWorkers cannot be larger than maxWorkers")
    if most:
        raise fault(
            INVALID_ARG,
            FROM_NONE,
            "maxWorkers must not be switched from zero to non-zero and vice versa",
        )
    if "prioWorkers" in workers:
        context.changes.make(f"{service.name}.prioWorkers", workers["prioWorkers"])
    return b""
