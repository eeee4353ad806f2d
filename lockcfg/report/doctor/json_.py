"""A diagnosis for programs, as ``schemas/output.schema.json`` describes it."""

from __future__ import annotations

from lockcfg.report import jsonreport
from lockcfg.report.doctor import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lockcfg.doctor.diagnosis import Diagnosis, DiskDiagnosis


def write(diagnosis: Diagnosis, *, quiet: bool) -> int:  # noqa: ARG001 - it is for programs
    """See :mod:`lockcfg.report.doctor`."""
    jsonreport.write(
        {
            "status": diagnosis.worst,
            "lock_manager": diagnosis.manager,
            "daemon": diagnosis.daemon or None,
            "guests": diagnosis.guests,
            "disks": [_disk(each) for each in diagnosis.disks],
            "problems": [
                {
                    "code": each.code,
                    "severity": each.severity,
                    "message": each.message,
                    "help": each.help,
                }
                for each in diagnosis.problems
            ],
        }
    )
    return status_of(diagnosis)


def _disk(disk: DiskDiagnosis) -> dict[str, Any]:
    lock = disk.lock
    return {
        "guest": disk.guest.name,
        "uuid": disk.guest.uuid,
        "pid": disk.guest.pid,
        "state": disk.guest.state,
        "disk": disk.disk,
        "lock": (
            None
            if lock is None
            else {
                "kind": lock.kind,
                "lockspace": lock.space,
                "name": lock.name,
                "file": lock.path,
                "mode": "shared" if lock.shared else "exclusive",
            }
        ),
        "held_by": disk.held_by,
        "since": disk.since or None,
        "refused_by": list(disk.refused_by),
        "verdict": disk.verdict,
        "why": disk.why,
        "help": disk.help,
    }
