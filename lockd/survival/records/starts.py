"""The record of how often lockd was started with these locks."""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay


def starts(count: int) -> str:
    """``starts``: how often, this time included."""
    return record("starts", count)


class Records:
    """The number of starts; 0 if no record has it."""

    def __init__(self) -> None:
        self.count = 0
        self.replays: Final[dict[str, Replay]] = {"starts": self._starts}

    def _starts(self, fields: list[Any]) -> None:
        self.count = fields[0]
