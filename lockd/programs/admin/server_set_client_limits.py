"""SERVER_SET_CLIENT_LIMITS: set the limits for clients. Arguments: service, parameters, flags.

Connected clients stay, even if the new limit is lower.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import read_settings
from lockd.wire.fault import FROM_RPC, INVALID_ARG, fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Change the limits, both or none."""
    known = ("nclients_max", "nclients_unauth_max")
    service, limits = read_settings(context, arguments, known, "adminServerSetClientLimits")
    result = {**service.limits, **limits}
    if result["nclients_unauth_max"] > result["nclients_max"]:
        raise fault(INVALID_ARG, FROM_RPC, context.dialect.too_many_waiting)
    for limit, value in limits.items():
        context.changes.make(f"{service.name}.{limit}", value)
    return b""
