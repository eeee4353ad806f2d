"""The objects that ``--json`` prints, which ``schemas/output.schema.json`` describes.

Passwords are hidden here too, except for the value that ``get`` prints.
"""

from __future__ import annotations

import json
import sys

from lockcfg.report.secrets import HIDDEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from lockcfg.errors import LockcfgError
    from lockcfg.findings import Finding, Place
    from lockcfg.host.host import Effective
    from lockcfg.host.protection import Protection


def write(report: dict[str, Any], stream: TextIO | None = None) -> None:
    """Print ``report`` in ASCII, so that no terminal or pipe can damage it."""
    out = stream or sys.stdout
    json.dump(report, out, indent=2)
    out.write("\n")


def place(place: Place | None) -> dict[str, Any] | None:
    """A place in a file."""
    if place is None:
        return None
    return {"path": place.path, "line": place.line, "column": place.column}


def finding(finding: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "path": finding.path,
        "line": finding.place.line if finding.place else None,
        "column": finding.place.column if finding.place else None,
        "key": finding.key,
        "help": finding.help,
    }


def error(error: LockcfgError) -> dict[str, Any]:
    """An error, in place of the report."""
    findings = getattr(error, "findings", ())
    return {
        "error": {
            "message": error.message,
            "help": error.help,
            "place": place(getattr(error, "place", None)),
            "findings": [finding(one) for one in findings],
        }
    }


def protection(protection: Protection) -> dict[str, Any]:
    """The verdict on a host."""
    return {
        "level": protection.level,
        "summary": protection.summary,
        "disks": [
            {"disks": list(reach.disks), "level": reach.level, "text": reach.text}
            for reach in protection.reaches
        ],
    }


def effective(effective: Effective, *, reveal: bool = False) -> dict[str, Any]:
    """The value of one setting that is in force."""
    setting = effective.setting
    value = effective.value
    if setting.secret and value is not None and not reveal:
        value = HIDDEN.strip('"')
    return {
        "key": setting.key,
        "value": list(value) if isinstance(value, tuple) else value,
        "set": effective.place is not None,
        "file": setting.kind.name,
        "place": place(effective.place),
        "default": list(setting.default) if isinstance(setting.default, tuple) else setting.default,
        "because": effective.because,
    }
