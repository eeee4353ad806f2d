"""CREATE_RESOURCE: create the file of a resource. Arguments: path of the lockspace, name, flags."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Make an empty file if there is none."""
    path, name = arguments.string(), arguments.string()
    session.check_flags(arguments.uint(), 0, "CreateResource")
    session.check_registered()
    context.engine.create_resource(path, name)
    return b""
