"""CLIENT_GET_INFO: the process and user of a client. Arguments: client, flags."""

from __future__ import annotations

from lockd.programs.admin.subjects import (
    check_flags,
    find_client,
    find_service,
    read_client,
)
from lockd.wire.fault import FROM_RPC, INTERNAL_ERROR, fault
from lockd.wire.parameters import BOOLEAN, INT, STRING, Parameter, pack_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The process at the other end, and its user and group."""
    (name, number), flags = read_client(arguments), arguments.uint()
    client = find_client(find_service(context, name, own_words=True), number, own_words=True)
    check_flags(flags, "adminClientGetInfo")
    user, group = _names(client.uid, client.gid)
    return pack_parameters(
        (
            Parameter("readonly", BOOLEAN, 0),
            Parameter("unix_user_id", INT, client.uid),
            Parameter("unix_user_name", STRING, user),
            Parameter("unix_group_id", INT, client.gid),
            Parameter("unix_group_name", STRING, group),
            Parameter("unix_process_id", INT, client.pid),
        )
    )


def _names(uid: int, gid: int) -> tuple[str, str]:
    """The names of a user and a group. Raises Fault if one has none, as libvirt does."""
    import grp
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
    except KeyError:
        raise fault(
            INTERNAL_ERROR, FROM_RPC, "No identity information available for client"
        ) from None
