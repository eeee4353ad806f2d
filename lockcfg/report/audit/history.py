"""The history of a fleet, as text and as JSON (``schemas/history-output.schema.json``)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from lockcfg.fleet.policy.host_ranges import shortened
from lockcfg.report.terminal import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final, TextIO

    from lockcfg.fleet.store.history import HistoryChange, Point

    Rows = Iterable[tuple[Point, Sequence[HistoryChange]]]

#: How many ranges of hosts are named in text.
_MOST: Final = 6

#: What stands before a change.
_WORDS: Final = {"worse": "worse: ", "better": "better: ", "come": "came", "gone": "gone"}


def time_of(seconds: int) -> str:
    """A time as people write it; one that no calendar has, as the number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def write_text(rows: Rows, stream: TextIO) -> None:
    """The points, the oldest first, each with what had changed."""
    for point, changes in rows:
        stream.write(f"#{point.id} {time_of(point.time)}  {escape(point.text)}\n")
        for change in changes:
            hosts = shortened(change.hosts, _MOST) if change.hosts else ""
            more = change.total - len(change.hosts)
            if more > 0:
                hosts += f" and {more} more"
            about = f" ({escape(hosts)})" if hosts else ""
            stream.write(f"    {_WORDS.get(change.kind, '')}{escape(change.text)}{about}\n")


def write_json(rows: Rows, stream: TextIO) -> None:
    """The same for programs, in ASCII."""
    told = {
        "points": [
            {
                **{name: value for name, value in point._asdict().items() if name != "policy"},
                "policy": point.policy or None,
                "changes": [
                    {
                        "kind": change.kind,
                        "severity": change.severity,
                        "text": change.text,
                        "hosts": list(change.hosts),
                        "total": change.total,
                    }
                    for change in changes
                ],
            }
            for point, changes in rows
        ]
    }
    json.dump(told, stream, indent=1)
    stream.write("\n")
