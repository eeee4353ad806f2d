"""ACQUIRE_RESOURCE: lock a resource. Arguments: path of the lockspace, name, flags.

Flags: 1 shared, 2 make the file if it is missing, and remove it at the release.
"""

from __future__ import annotations

from lockd.locks.space import about
from lockd.wire.fault import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.lock.context import LockContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

SHARED = 1
AUTOCREATE = 2


def call(context: LockContext, session: Session, arguments: Reader) -> bytes:
    """Lock the file of the resource for the owner that the client has registered as."""
    path, name, flags = arguments.string(), arguments.string(), arguments.uint()
    session.check_flags(flags, SHARED | AUTOCREATE, "AcquireResource")
    owner = session.check_registered()
    try:
        context.engine.acquire(
            path, name, owner, shared=bool(flags & SHARED), create=bool(flags & AUTOCREATE)
        )
    except Fault as error:
        error.about = owner.fields() | about(path, name)
        raise
    return b""
