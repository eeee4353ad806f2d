"""The records of the processes of owners: which one a pid was when it took its locks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay


#: The kind of records that tell of a process.
OF_PROCESS: Final = ("process",)


def process(pid: int, started: int) -> str:
    """``process``: the owner with that pid is the process that started then, in clock ticks since
    the system did: pid, start time."""
    return f'["process",{pid},{started}]'


class Records:
    """When the process of each owner started, by pid."""

    def __init__(self) -> None:
        self.started: Final[dict[int, int]] = {}
        self.replays: Final[dict[str, Replay]] = {"process": self._process}

    def _process(self, fields: list[Any]) -> None:
        pid, started = fields[:2]
        self.started[pid] = started
