"""The records of the guests that lockd ends before it releases their locks."""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay

    #: A lock that is not released yet: lockspace, name, the fields of the owner.
    Left = tuple[str, str, Sequence[Any]]


def dying(pid: int, started: int, left: Sequence[Left]) -> str:
    """``dying``: a process that lockd ends: pid, start time, and once it has ended, the locks that
    are not released yet."""
    return record("dying", pid, started, left)


def dead(pid: int, started: int) -> str:
    """``dead``: its locks have been released: pid, start time."""
    return record("dead", pid, started)


class Records:
    """The locks left to release of each, by pid and start time."""

    def __init__(self) -> None:
        self.dying: Final[dict[tuple[int, int], Sequence[Left]]] = {}
        self.replays: Final[dict[str, Replay]] = {"dying": self._dying, "dead": self._dead}

    def _dying(self, fields: list[Any]) -> None:
        pid, started, left = fields[:3]
        self.dying[pid, started] = left

    def _dead(self, fields: list[Any]) -> None:
        pid, started = fields[:2]
        self.dying.pop((pid, started), None)
