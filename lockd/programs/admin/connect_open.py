"""CONNECT_OPEN: begin the connection. Arguments: flags.

Nothing depends on it: other procedures may be called before it, and it may be called more than
once.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Refuse flags."""
    check_flags(arguments.uint(), "adminDispatchConnectOpen")
    return b""
