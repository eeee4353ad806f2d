"""CONNECT_LIST_SERVERS: list the services. Arguments: whether the names are wanted, flags.

It answers with the services, by name, if they are wanted, and with their number.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags
from lockd.wire.xdr import pack_string, pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The names of all services."""
    wanted, flags = arguments.uint(), arguments.uint()
    check_flags(flags, "adminConnectListServers")
    names = sorted(context.services)
    listed = names if wanted else []
    return b"".join((pack_uint(len(listed)), *map(pack_string, listed), pack_uint(len(names))))
