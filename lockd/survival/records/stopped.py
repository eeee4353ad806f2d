"""The records of the guests that are stopped for a lock that is lost or may be."""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay

    #: A stopped guest: its name, its UUID, the control group that stops it, or empty; and for each
    #: lock that is the reason, the lockspace, the name, what is wrong, and whether another host may
    #: have had it.
    Stopped = tuple[str, str, str, Sequence[tuple[str, str, str, bool]]]


def stopped(pid: int, started: int, what: Stopped) -> str:
    """``stopped``: a process that is stopped: pid, start time, :data:`Stopped`."""
    return record("stopped", pid, started, what)


def goes_on(pid: int, started: int) -> str:
    """``goes_on``: it is no longer stopped: pid, start time."""
    return record("goes_on", pid, started)


class Records:
    """Those that are stopped, by pid and start time."""

    def __init__(self) -> None:
        self.stopped: Final[dict[tuple[int, int], Stopped]] = {}
        self.replays: Final[dict[str, Replay]] = {
            "stopped": self._stopped,
            "goes_on": self._goes_on,
        }

    def _stopped(self, fields: list[Any]) -> None:
        pid, started, (name, uuid, group, locks) = fields[0], fields[1], fields[2][:4]
        of_locks = [(space, resource, why, had) for space, resource, why, had, *_ in locks]
        self.stopped[pid, started] = name, uuid, group, of_locks

    def _goes_on(self, fields: list[Any]) -> None:
        pid, started = fields[:2]
        self.stopped.pop((pid, started), None)
