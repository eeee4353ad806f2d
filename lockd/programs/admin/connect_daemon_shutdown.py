"""CONNECT_DAEMON_SHUTDOWN: stop the daemon, as SIGTERM does. Arguments: flags.

lockd ends guests that hold locks first, even if the flag asks it to keep its state: virtlockd has
no state to keep, and ends in the same way.
"""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags
from lockd.rpc.dispatch import HangUpError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

_PRESERVE: Final = 1


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """End the daemon. No client gets a reply."""
    check_flags(arguments.uint() & ~_PRESERVE, "adminConnectDaemonShutdown")
    context.end()
    raise HangUpError("it has asked the daemon to end")
