"""What the procedures of the lock program work on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.locks.engine import Engine
    from lockd.survival.journal import Journal


class LockContext:
    """The locks, and the journal, which records whom a client has registered as."""

    __slots__ = ("engine", "journal")

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self.engine: Final = engine
        self.journal: Final = journal
