"""CONNECT_LOOKUP_SERVER: check whether a service exists. Arguments: name, flags (any)."""

from __future__ import annotations

from lockd.programs.admin.subjects import find_service
from lockd.wire.parameters import MAX_STRING
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The name of the service."""
    name = arguments.string(MAX_STRING)
    arguments.uint()
    return pack_string(find_service(context, name).name)
