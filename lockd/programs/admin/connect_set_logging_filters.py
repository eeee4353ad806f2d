"""CONNECT_SET_LOGGING_FILTERS: set the filters of the log. Arguments: filters (optional), flags."""

from __future__ import annotations

from lockd.log import LogError, parse_filter
from lockd.programs.admin.subjects import bad_log_setting, check_flags
from lockd.wire.parameters import MAX_STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """Change the filters; without the argument, to none."""
    text = arguments.optional(lambda: arguments.string(MAX_STRING))
    check_flags(arguments.uint(), "adminConnectSetLoggingFilters")
    try:
        if context.dialect.one_colon:
            _check_colons(text or "")
        context.changes.make("log_filters", text or "")
    except LogError as error:
        raise bad_log_setting(error, context.dialect) from error
    return b""


def _check_colons(text: str) -> None:
    """Raise LogError for the first filter that is wrong, where two colons are, too."""
    for each in filter(None, text.split(" ")):
        if each.count(":") > 1:
            raise LogError(f"Malformed format for filter '{each}'")
        parse_filter(each)
