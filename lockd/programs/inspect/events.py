"""EVENTS: what has happened to locks. Arguments: the number of the last event that the caller has,
0 at first, and whether the caller follows (1), and so wants each grant and release from now on.

It answers with an object: ``events``, ``last`` (the number of the last event), ``lost`` (how many
events after the given number are forgotten), and ``since``, when the daemon started: in another
daemon, numbers start again.
"""

from __future__ import annotations

import json

from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

#: How many events are in an answer.
_AT_ONCE: Final = 200


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """The next events."""
    number, follows = arguments.uint(), arguments.uint()
    if follows:
        context.recent.follow()
    events, lost = context.recent.behind(number, _AT_ONCE)
    answer = {"events": events, "last": context.recent.last, "lost": lost, "since": context.since}
    return pack_string(json.dumps(answer))
