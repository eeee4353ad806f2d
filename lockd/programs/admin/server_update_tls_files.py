"""SERVER_UPDATE_TLS_FILES: read the TLS certificates again. Arguments: service, flags."""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags, find_service
from lockd.wire.fault import FROM_RPC, INTERNAL_ERROR, fault
from lockd.wire.parameters import MAX_STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Refuse the call: no service has certificates."""
    name, flags = arguments.string(MAX_STRING), arguments.uint()
    find_service(context, name)
    check_flags(flags, "adminServerUpdateTlsFiles")
    raise fault(INTERNAL_ERROR, FROM_RPC, "no tls service found, unable to update tls files")
