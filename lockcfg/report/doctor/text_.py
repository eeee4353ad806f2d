"""A diagnosis for a person: a table of disks, and sentences that say what to do."""

from __future__ import annotations

import os
import time

from lockcfg.counted import counted
from lockcfg.report import terminal
from lockcfg.report.doctor import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.doctor.diagnosis import Diagnosis, DiskDiagnosis

_WORDS: Final = {
    "locked": "locked",
    "paused": "not now: paused",
    "none": "none is meant",
    "unprotected": "NOT PROTECTED",
    "missing": "NOT LOCKED",
    "other": "ANOTHER HAS IT",
    "otherwise": "OTHERWISE THAN MEANT",
    "danger": "IN DANGER",
    "unknown": "UNKNOWN",
}


def write(diagnosis: Diagnosis, *, quiet: bool) -> int:
    """See :mod:`lockcfg.report.doctor`."""
    out = terminal.stdout()
    bad = [disk for disk in diagnosis.disks if not disk.is_fine]
    problems = [each for each in diagnosis.problems if not quiet or each.severity != "info"]
    shown = bad if quiet else diagnosis.disks
    if shown:
        out.table(
            [
                ("GUEST", "DISK", "LOCK", "HELD BY", "SINCE", "ALSO KEPT BY", "VERDICT"),
                *map(_row, shown),
            ]
        )
    for disk in bad:
        out.line()
        where = terminal.escape(f"{disk.guest.name}: {disk.disk}")
        out.line(f"{out.style('error:', 'error')} {where}: {terminal.escape(disk.why)}")
        if disk.help:
            out.line(f"  {out.style('help:', 'info')} {terminal.escape(disk.help)}")
    for problem in problems:
        out.line()
        word = out.style(f"{problem.severity}:", problem.severity)
        code = out.style(f"[{problem.code}]", "dim")
        out.line(f"{word} {terminal.escape(problem.message)} {code}")
        if problem.help:
            out.line(f"  {out.style('help:', 'info')} {terminal.escape(problem.help)}")
    if not quiet:
        out.line()
        out.line(_summary(diagnosis))
    return status_of(diagnosis)


def _row(disk: DiskDiagnosis) -> tuple[str, ...]:
    lock = disk.lock
    name = "-"
    if lock is not None:
        short = f"{lock.name[:12]}…" if len(lock.name) > 40 and lock.space else lock.name
        name = f"{lock.kind} {os.path.join(lock.space, short) if lock.space else 'on the disk'}"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(disk.since)) if disk.since else "-"
    return (
        disk.guest.name,
        disk.disk,
        name,
        disk.held_by or "-",
        since,
        "QEMU" if "qemu" in disk.refused_by else "-",
        _WORDS[disk.verdict],
    )


def _summary(diagnosis: Diagnosis) -> str:
    guests = f"{counted(diagnosis.guests, 'guest')} running"
    if diagnosis.worst == "ok":
        return f"{guests}: every disk that is meant to be locked is locked."
    bad = sum(not disk.is_fine for disk in diagnosis.disks)
    return (
        f"{guests}: {counted(bad, 'disk')} not as meant,"
        f" {counted(len(diagnosis.problems), 'problem')}."
    )
