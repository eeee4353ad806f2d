"""What the procedures of the lock program work on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.locks.engine import Engine
    from lockd.survival.journal import Journal
    from lockd.wire.dialect import Dialect


class LockContext:
    """The locks; the journal, which records whom a client has registered as; the dialect."""

    __slots__ = ("dialect", "engine", "journal")

    def __init__(self, engine: Engine, journal: Journal, dialect: Dialect) -> None:
        self.dialect: Final = dialect
        self.engine: Final = engine
        self.journal: Final = journal
