"""LOCKS: list the locks that are held, page by page.

Arguments: the number of the last lock of the previous page, 0 at first.

It answers with an object: ``locks``, a list of objects, and ``last``, the argument for the next
page, or null on the last page. Thousands of locks in one answer would keep all others waiting.
"""

from __future__ import annotations

import json
from heapq import nsmallest
from operator import attrgetter

from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockd.locks.space import Resource
    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

#: How many locks are in an answer.
_AT_ONCE: Final = 100


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """The next locks."""
    after = arguments.uint()
    left = (resource for resource in context.engine.table.resources() if resource.number > after)
    found = nsmallest(_AT_ONCE, left, key=attrgetter("number"))
    last = found[-1].number if len(found) == _AT_ONCE else None
    answer = {"locks": [_lock(context, resource) for resource in found], "last": last}
    return pack_string(json.dumps(answer))


def _lock(context: InspectContext, resource: Resource) -> dict[str, Any]:
    return {
        "lockspace": resource.space.directory,
        "resource": resource.name,
        "path": resource.path,
        "disk": resource.disk or ("" if resource.space.directory else resource.name),
        "mode": "shared" if resource.shared else "exclusive",
        "owners": [
            {
                "guest": owner.name,
                "uuid": owner.shown_uuid,
                "id": owner.id,
                "pid": owner.pid,
            }
            for owner in resource.owners
        ],
        "since": resource.since,
        "kind": "posix" if resource.lock.posix else "ofd",
        "problem": resource.problem,
    }
