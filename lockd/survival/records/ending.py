"""The record of the end: the daemon was asked to end, and makes its guests end first."""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay


def ending() -> str:
    """``ending``: the daemon has begun to end. If it is killed meanwhile, the next one continues to
    end."""
    return record("ending")


class Records:
    """Whether the daemon was about to end."""

    def __init__(self) -> None:
        self.is_ending = False
        self.replays: Final[dict[str, Replay]] = {"ending": self._ending}

    def _ending(self, _: list[Any]) -> None:
        self.is_ending = True
