"""CREATE_LOCKSPACE: create a lockspace unless it exists. Arguments: path.

libvirt calls it at its start, without having registered, for the directories of its configuration.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Make the directory if it is missing, and add it as a lockspace."""
    path = arguments.string()
    session.check_unrestricted()
    context.engine.create_lockspace(path)
    context.engine.on_lockspaces()
    return b""
