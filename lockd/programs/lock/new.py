"""NEW: create a lockspace that does not exist yet. Arguments: path, flags."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Make the directory if it is missing, and add it as a lockspace."""
    path = arguments.string()
    session.check_flags(arguments.uint(), 0, "New")
    session.check_registered()
    context.engine.new_lockspace(path, dangling=context.dialect.takes_dangling)
    return b""
