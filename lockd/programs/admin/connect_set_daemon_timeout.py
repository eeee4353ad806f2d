"""CONNECT_SET_DAEMON_TIMEOUT: set after how many seconds without a client the daemon stops.

Arguments: seconds, flags.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """End by itself after so many seconds without clients and locks; 0 for never."""
    seconds, flags = arguments.uint(), arguments.uint()
    check_flags(flags, "adminConnectSetDaemonTimeout")
    context.changes.make("timeout", seconds)
    return b""
