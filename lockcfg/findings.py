"""What a check has to say: a rule, how bad it is, where, and what to do."""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    Severity = Literal["error", "warning", "info"]
    #: error: a daemon refuses to start, or reads something else than is written there.
    #: warning: it starts, and does not do what the file seems to say. info: worth knowing.

SEVERITIES: Final = ("error", "warning", "info")


class Place(Frozen):
    """A stretch of one line of a file.

    ``line`` and ``column`` count from 1, columns in characters; ``text`` is the line without
    its end, ``length`` how many characters of it are meant (0: just the point).
    """

    __slots__ = ("column", "length", "line", "path", "text")

    def __init__(self, path: str, line: int, column: int, text: str = "", length: int = 0) -> None:
        self.path: Final = path
        self.line: Final = line
        self.column: Final = column
        self.text: Final = text
        self.length: Final = length

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Finding(Frozen):
    """One result of a check.

    ``rule`` is a stable slug (``wrong-type``); ``path`` the file it is about, ``place`` the
    spot in it, or None if the whole file is meant; ``key`` the setting or None; ``help``
    what to do about it, or empty.
    """

    __slots__ = ("help", "key", "message", "path", "place", "rule", "severity")

    def __init__(
        self,
        rule: str,
        severity: Severity,
        message: str,
        *,
        path: str,
        place: Place | None = None,
        key: str | None = None,
        help: str = "",
    ) -> None:
        self.rule: Final = rule
        self.severity: Final = severity
        self.message: Final = message
        self.path: Final = path
        self.place: Final = place
        self.key: Final = key
        self.help: Final = help
