"""CREATE_LOCKSPACE: create a lockspace unless it exists. Arguments: path.

libvirt calls it at its start, without having registered, for the directories of its configuration.
Before 7.6 it is told by an error that one exists, and takes that for well.
"""

from __future__ import annotations

from lockd.wire.fault import FROM_RPC, OPERATION_INVALID, fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Make the directory if it is missing, and add it as a lockspace."""
    path = arguments.string()
    session.check_unrestricted()
    exists = context.dialect.lockspace_exists
    known = bool(exists) and context.engine.has_lockspace(path)
    if not known:
        context.engine.create_lockspace(path, dangling=context.dialect.takes_dangling)
    context.engine.on_lockspaces()
    if known:
        raise fault(OPERATION_INVALID, FROM_RPC, exists.format(path=path))
    return b""
