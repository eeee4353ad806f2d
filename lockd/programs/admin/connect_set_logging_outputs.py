"""CONNECT_SET_LOGGING_OUTPUTS: set the outputs of the log. Arguments: outputs (optional), flags."""

from __future__ import annotations

from lockd.log import LogError
from lockd.programs.admin.subjects import bad_log_setting, check_flags
from lockd.wire.parameters import MAX_STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Change the outputs; without the argument, to the default one."""
    text = arguments.optional(lambda: arguments.string(MAX_STRING))
    check_flags(arguments.uint(), "adminConnectSetLoggingOutputs")
    try:
        context.changes.make("log_outputs", text or "")
    except LogError as error:
        raise bad_log_setting(error, context.dialect) from error
    return b""
