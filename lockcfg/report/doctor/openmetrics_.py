"""A diagnosis as OpenMetrics, for the textfile collector of Prometheus's node_exporter."""

from __future__ import annotations

import sys

from lockcfg.report.doctor import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.doctor.diagnosis import Diagnosis, Verdict

_VERDICTS: Final[tuple[Verdict, ...]] = (
    *("locked", "paused", "none", "unprotected", "missing"),
    *("other", "otherwise", "danger", "unknown"),
)
_SEVERITIES: Final = ("error", "warning", "info")
_STATUSES: Final = ("ok", "warning", "critical", "unknown")


def write(diagnosis: Diagnosis, *, quiet: bool) -> int:  # noqa: ARG001 - it is for programs
    """See :mod:`lockcfg.report.doctor`."""
    out = sys.stdout
    _head("lockcfg_guests", "Guests that run.")
    out.write(f"lockcfg_guests {diagnosis.guests}\n")
    _head("lockcfg_disks", "Disks and leases of running guests, by verdict.")
    for verdict in _VERDICTS:
        out.write(f'lockcfg_disks{{verdict="{verdict}"}} {diagnosis.count(verdict)}\n')
    _head("lockcfg_disk_not_as_meant", "Disks that are not locked as is meant.")
    for disk in diagnosis.disks:
        if not disk.is_fine:
            labels = (
                f'guest="{_label(disk.guest.name)}",disk="{_label(disk.disk)}",'
                f'verdict="{disk.verdict}"'
            )
            out.write(f"lockcfg_disk_not_as_meant{{{labels}}} 1\n")
    _head("lockcfg_host_problems", "What else is wrong with the host, by severity.")
    for severity in _SEVERITIES:
        count = sum(each.severity == severity for each in diagnosis.problems)
        out.write(f'lockcfg_host_problems{{severity="{severity}"}} {count}\n')
    _head("lockcfg_doctor_status", "How it is in all: 1 for the one that is so.")
    for status in _STATUSES:
        out.write(f'lockcfg_doctor_status{{status="{status}"}} {int(diagnosis.worst == status)}\n')
    out.write("# EOF\n")
    return status_of(diagnosis)


def _head(name: str, help: str) -> None:
    sys.stdout.write(f"# HELP {name} {help}\n# TYPE {name} gauge\n")


def _label(text: str) -> str:
    shown = text.encode("utf-8", "replace").decode("utf-8")
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
