"""What a rule of the audit yields."""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockcfg.findings import Severity


class Observation(Frozen):
    """What a rule has observed; the audit makes an AuditFinding of it. ``message`` is the same for
    all its hosts, so one finding can name them together. ``hosts`` are these hosts, None for all
    hosts that the rule got. ``reasons`` is the chain of reasons, ``help`` says what to do.
    ``severity`` is None for the severity of the rule. ``unknown`` tells that something about the
    hosts is unknown, so they are not safe. ``cause`` is the setting or the file to change, or
    empty."""

    __slots__ = ("cause", "group", "help", "hosts", "message", "reasons", "severity", "unknown")

    def __init__(
        self,
        message: str,
        *,
        hosts: Iterable[str] | None = None,
        group: str = "",
        reasons: Iterable[str] = (),
        help: str = "",
        severity: Severity | None = None,
        unknown: bool = False,
        cause: str = "",
    ) -> None:
        self.cause: Final = cause
        self.message: Final = message
        self.hosts: Final = None if hosts is None else tuple(hosts)
        self.group: Final = group
        self.reasons: Final = tuple(reasons)
        self.help: Final = help
        self.severity: Final = severity
        self.unknown: Final = unknown
