"""SERVER_GET_CLIENT_LIMITS: the limits for clients, and their numbers.

Arguments: service, flags.
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
    """The limits, and the numbers: no client ever waits for authentication."""
    name, flags = arguments.string(MAX_STRING), arguments.uint()
    service = find_service(context, name)
    check_flags(flags, "adminServerGetClientLimits")
    limits = {
        "nclients_max": service.limits["nclients_max"],
        "nclients": len(service.clients),
        "nclients_unauth_max": service.limits["nclients_unauth_max"],
        "nclients_unauth": 0,
    }
    return pack_parameters([Parameter(name, UINT, value) for name, value in limits.items()])
