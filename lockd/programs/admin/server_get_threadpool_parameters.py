"""SERVER_GET_THREADPOOL_PARAMETERS: the worker threads of a service. Arguments: service, flags.

lockd has none, like virtlockd; the number of priority workers can be set.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_service
from lockd.wire.parameters import MAX_STRING, UINT, Parameter, pack_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """No workers of any kind."""
    name, flags = arguments.string(MAX_STRING), arguments.uint()
    service = find_service(context, name)
    check_flags(flags, "adminServerGetThreadPoolParameters")
    workers = {
        "minWorkers": 0,
        "maxWorkers": 0,
        "nWorkers": 0,
        "freeWorkers": 0,
        "prioWorkers": service.limits["prioWorkers"],
        "jobQueueDepth": 0,
    }
    return pack_parameters([Parameter(name, UINT, value) for name, value in workers.items()])
