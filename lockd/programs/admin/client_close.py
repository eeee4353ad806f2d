"""CLIENT_CLOSE: close the connection of a client. Arguments: client, flags.

That is to a client as if it had closed the connection itself: a guest that holds locks is made
to end.
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
    """Close its connection; one that asks it of itself gets no reply."""
    (name, number), flags = read_client(arguments), arguments.uint()
    service = find_service(context, name)
    client = find_client(service, number)
    check_flags(flags, "adminClientClose")
    if client is session:
        raise HangUpError("it has asked for it")
    service.hang_up(client)
    return b""
