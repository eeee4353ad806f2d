"""CONNECT_GET_LOGGING_OUTPUTS: the outputs of the log. Arguments: flags."""

from __future__ import annotations

from lockd.programs.admin.subjects import check_flags
from lockd.wire.xdr import pack_string, pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The outputs, as they are set, and their number."""
    check_flags(arguments.uint(), "adminConnectGetLoggingOutputs")
    outputs = context.logging.outputs
    return pack_string(" ".join(outputs)) + pack_uint(len(outputs))
