"""METRICS: figures for ``lockd metrics``. It answers with an object of numbers, and only counts."""

from __future__ import annotations

import json
from collections import Counter

from lockd import __version__
from lockd.rpc.statistics import BUCKETS
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """The figures as they are now."""
    table = context.engine.table
    locks = Counter(
        (each.space.directory, "danger" if each.problem else "held") for each in table.resources()
    )
    for directory in table.spaces:
        locks.setdefault((directory, "held"), 0)
        locks.setdefault((directory, "danger"), 0)
    answer = {
        "version": __version__,
        "since": context.since,
        "starts": context.starts,
        "locks": [[directory, state, count] for (directory, state), count in locks.items()],
        "clients": {
            name: [len(service.clients), service.max_clients]
            for name, service in context.services.items()
        },
        "kept": not context.keeper.lost if context.keeper else False,
        "silent": [path for path, _ in context.remotes.silent()],
        "ending": sum(1 for _ in context.guests.problems()),
        "events": dict(context.recent.counts),
        "calls": {name: each.record() for name, each in context.calls.items()},
        "buckets": BUCKETS,
    }
    return pack_string(json.dumps(answer))
