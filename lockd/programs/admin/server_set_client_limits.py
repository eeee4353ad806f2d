"""SERVER_SET_CLIENT_LIMITS: set the limits for clients. Arguments: service, parameters, flags.

Connected clients stay, even if the new limit is lower.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_service
from lockd.wire.fault import FROM_RPC, INVALID_ARG, fault
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
    """Change the limits, both or none."""
    name = arguments.string(MAX_STRING)
    parameters = read_parameters(arguments)
    flags = arguments.uint()
    service = find_service(context, name, own_words=True)
    check_names(parameters)
    check_flags(flags, "adminServerSetClientLimits")
    limits = unsigned_values(parameters, ("nclients_max", "nclients_unauth_max"), context.dialect)
    result = {**service.limits, **limits}
    if result["nclients_unauth_max"] > result["nclients_max"]:
        raise fault(INVALID_ARG, FROM_RPC, context.dialect.too_many_waiting)
    for limit, value in limits.items():
        context.changes.make(f"{service.name}.{limit}", value)
    return b""
