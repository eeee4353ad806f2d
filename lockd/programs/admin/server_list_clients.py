"""SERVER_LIST_CLIENTS: list the clients of a service.

Arguments: service, whether they are wanted, flags.

It answers with the clients, in the order they came, if they are wanted, and with their number.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_service, pack_client
from lockd.wire.parameters import MAX_STRING
from lockd.wire.xdr import pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """All clients, with the caller if it is a client of this service."""
    name, wanted, flags = arguments.string(MAX_STRING), arguments.uint(), arguments.uint()
    service = find_service(context, name)
    check_flags(flags, "adminServerListClients")
    clients = [*service.clients.values()]
    listed = clients if wanted else []
    return b"".join((pack_uint(len(listed)), *map(pack_client, listed), pack_uint(len(clients))))
