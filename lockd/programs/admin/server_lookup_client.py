"""SERVER_LOOKUP_CLIENT: find a client of a service. Arguments: service, id, flags."""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_client, find_service, pack_client
from lockd.wire.parameters import MAX_STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """When the client has connected."""
    name, number, flags = arguments.string(MAX_STRING), arguments.uhyper(), arguments.uint()
    service = find_service(context, name)
    check_flags(flags, "adminServerLookupClient")
    return pack_client(find_client(service, number))
