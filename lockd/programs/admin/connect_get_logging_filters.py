"""CONNECT_GET_LOGGING_FILTERS: the filters of the log. Arguments: flags."""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags
from lockd.wire.xdr import pack_optional, pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The filters, as libvirt shows them, and their number."""
    check_flags(arguments.uint(), "adminConnectGetLoggingFilters")
    filters = context.logging.filters
    text = "".join(f"{level}:*{part}* " for level, part in filters)
    return pack_optional(text or None) + pack_uint(len(filters))
