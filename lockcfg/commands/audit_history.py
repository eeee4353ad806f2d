"""``lockcfg audit --history``: the verdicts over time, and the changes of hosts."""

from __future__ import annotations

import re

from lockcfg.commands.arguments import refuse_given
from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Final

    from lockcfg.fleet.store.store import Store

#: How many points are shown where nothing else is said.
_LAST: Final = 20

_NUMBER: Final = re.compile(r"#(\d{1,15})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What 'lockcfg audit' has for this."""
    history = parser.add_argument_group("the history of a fleet store that --watch keeps")
    history.add_argument(
        "--history",
        action="store_true",
        help="print the verdicts over time, and the changes of hosts; PATH is the store",
    )
    history.add_argument(
        "--last",
        type=int,
        metavar="N",
        help=f"so many of the newest points (default: {_LAST}; 0 is all)",
    )
    history.add_argument("--host", metavar="NAME", help="only the changes of this host")


def check_usage(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together. Raises UsageError."""
    if not arguments.history:
        refuse_given(arguments, ("last", "host"), "goes with --history")
        return
    others = ("policy", "write_policy", "partial", "merge", "compare")
    refuse_given(arguments, others, "does not go with --history")
    if len(arguments.paths) != 1:
        raise UsageError("--history takes one PATH: a fleet store that --watch keeps")
    if arguments.format not in ("text", "json"):
        raise UsageError("--history is printed as text or as JSON")
    if arguments.last is not None and not 0 <= arguments.last < 2**31:
        raise UsageError("--last: from 0 on")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from lockcfg.commands.arguments import output_of
    from lockcfg.fleet.store.history import History
    from lockcfg.report.audit import history as report

    store = _opened(arguments.paths[0])
    try:
        told = History(store)
        last = _LAST if arguments.last is None else arguments.last
        rows = [(point, told.changes(point.id)) for point in told.points(last)]
    finally:
        store.close()
    if arguments.host is not None:
        mine = [
            (point, [change for change in changes if arguments.host in change.hosts])
            for point, changes in rows
        ]
        rows = [(point, changes) for point, changes in mine if changes]
    with output_of(arguments) as stream:
        (report.write_json if arguments.format == "json" else report.write_text)(rows, stream)
    return 0


def report_of(when: str, paths: list[str]) -> dict[str, Any]:
    """The audit at a point of the history of the store that is the only PATH: ``#12``, or the last
    one at or before a time (ISO 8601). Raises UsageError, ReadError."""
    from lockcfg.fleet.store.history import History

    time = _time(when)
    number = _NUMBER.fullmatch(when)
    if time is None and number is None:
        raise UsageError(
            f"--compare {when} is neither a file nor a time",
            help="a time is 2026-11-30 or 2026-11-30T05:00; a point is '#12'",
        )
    if len(paths) != 1:
        raise UsageError(f"--compare {when}: PATH is one fleet store that --watch keeps")
    store = _opened(paths[0])
    try:
        told = History(store)
        if number:
            point = int(number[1])
        else:
            found = told.point_at(time or 0)
            if found is None:
                raise UsageError(f"--compare {when}: the history begins later")
            point = found.id
        report = told.report(point)
    finally:
        store.close()
    if report is None:
        raise UsageError(
            f"--compare {when}: what is needed of point #{point} is not kept",
            help="it is kept of the newest points, and of the last of each day",
        )
    return report


def _opened(path: str) -> Store:
    from lockcfg.fleet.snapshots.sources import is_store
    from lockcfg.fleet.store.store import Store

    if not is_store(path):
        raise UsageError(f"{path} is not a fleet store", help="'lockcfg audit --watch' keeps one")
    return Store.open(path)


def _time(text: str) -> int | None:
    """Seconds since the epoch; a time without a zone is in UTC, and a day means its end."""
    from datetime import UTC, datetime, timedelta

    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    if re.fullmatch(r"\d{4}-?\d\d-?\d\d", text):
        time += timedelta(days=1, seconds=-1)
    return int(time.timestamp())
