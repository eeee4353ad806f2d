"""SERVER_SET_THREADPOOL_PARAMETERS: change the worker threads of a service.

Arguments: service, parameters, flags.

lockd's services have none and cannot get any, except priority workers; that number is remembered,
but has no effect.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_service
from lockd.wire.fault import FROM_NONE, INVALID_ARG, fault
from lockd.wire.parameters import (
    MAX_STRING,
    check_names,
    read_parameters,
    unsigned_values,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Remember the number of priority workers."""
    name = arguments.string(MAX_STRING)
    parameters = read_parameters(arguments)
    flags = arguments.uint()
    service = find_service(context, name, own_words=True)
    check_names(parameters)
    check_flags(flags, "adminServerSetThreadPoolParameters")
    workers = unsigned_values(
        parameters, ("minWorkers", "maxWorkers", "prioWorkers"), context.dialect
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
