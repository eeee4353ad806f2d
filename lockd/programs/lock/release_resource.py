"""RELEASE_RESOURCE: release the lock on a resource.

Arguments: path of the lockspace, name, flags.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Release the lock for the owner that the client has registered as."""
    path, name = arguments.string(), arguments.string()
    session.check_flags(arguments.uint(), 0, "ReleaseResource")
    owner = session.check_registered()
    context.engine.release(path, name, owner)
    return b""
