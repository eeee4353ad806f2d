"""CLIENT_CLOSE: close the connection of a client. Arguments: client, flags.

To a client this is as if it had closed the connection itself: lockd ends a guest that holds locks.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_client, find_service, read_client
from lockd.rpc.dispatch import HangUpError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Close the connection. A client that closes its own gets no reply."""
    (name, number), flags = read_client(arguments), arguments.uint()
    service = find_service(context, name)
    client = find_client(service, number)
    check_flags(flags, "adminClientClose")
    if client is session:
        raise HangUpError("it has asked for this")
    service.hang_up(client)
    return b""
