"""A diagnosis for Nagios and similar programs: one line, figures after a bar, and the status of a
plugin."""

from __future__ import annotations

import sys

from lockcfg.counted import counted
from lockcfg.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.doctor.diagnosis import Diagnosis

#: The exit statuses of a plugin.
_STATUSES: Final = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}


def write(diagnosis: Diagnosis, *, quiet: bool) -> int:  # noqa: ARG001 - it is always one line
    """See :mod:`lockcfg.report.doctor`."""
    bad = [disk for disk in diagnosis.disks if not disk.is_fine]
    texts = [f"{disk.guest.name}: {disk.disk}: {disk.why}" for disk in bad]
    texts += [each.message for each in diagnosis.problems if each.severity != "info"]
    locked = diagnosis.count("locked")
    fine = f"locked: {counted(locked, 'disk')} of {counted(diagnosis.guests, 'guest')}"
    first = texts[0] if texts else fine
    figures = (
        f"guests={diagnosis.guests} disks={len(diagnosis.disks)} locked={locked} bad={len(bad)}"
    )
    _line(f"LOCKING {diagnosis.worst.upper()} - {_plain(first)} | {figures}")
    for text in texts[1:]:
        _line(_plain(text))
    return _STATUSES[diagnosis.worst]


def _plain(text: str) -> str:
    """A text without bars, as a bar begins the figures."""
    return printable(text, len(text)).replace("|", "/")


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
