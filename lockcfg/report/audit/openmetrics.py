"""The audit of a fleet as OpenMetrics, for the textfile collector of Prometheus's node_exporter on
the machine that audits. No label is a host's name: a fleet may have 100,000 of them, and the names
are hostile."""

from __future__ import annotations

from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TextIO

    from lockcfg.fleet.comparison.result import AuditResult

_LEVELS: Final = ("safe", "unknown", "unsafe")
_SEVERITIES: Final = ("error", "warning", "info")
_SHARED: Final = ("yes", "no", "unknown")


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`. Waived findings do not count."""
    hosts = len(result.hosts)
    of_level = {level: int(result.verdict.level == level) for level in _LEVELS}
    _family(stream, "verdict", "What the fleet is: 1 for the one that is so.", "level", of_level)
    known = {"known": hosts - len(result.unknown), "unknown": len(result.unknown)}
    _family(stream, "hosts", "Hosts, by whether enough is known of them.", "facts", known)
    _family(
        stream,
        "disks",
        "Disks of several hosts or guests, by whether their users exclude each other.",
        "safe",
        _counted(Counter[str](disk.safe for disk in result.disks), _SHARED),
    )
    findings = Counter[str](finding.severity for finding in result.counted)
    _family(
        stream, "findings", "Findings, by severity.", "severity", _counted(findings, _SEVERITIES)
    )
    rules = Counter[str](finding.code for finding in result.counted if finding.severity != "info")
    _family(stream, "rule_findings", "Errors and warnings, by rule.", "code", rules)
    snapshots = {"unreadable": len(result.problems)}
    _family(stream, "snapshots", "Snapshots that were not read.", "state", snapshots)
    name = "lockcfg_fleet_audit_timestamp_seconds"
    stream.write(f"# HELP {name} The time of the audit, since the epoch.\n# TYPE {name} gauge\n")
    stream.write(f"{name} {result.now}\n# EOF\n")


def _counted(counts: Counter[str], names: tuple[str, ...]) -> dict[str, int]:
    return {name: counts[name] for name in names}


def _family(stream: TextIO, name: str, help: str, label: str, values: dict[str, int]) -> None:
    full = f"lockcfg_fleet_{name}"
    stream.write(f"# HELP {full} {help}\n# TYPE {full} gauge\n")
    for value, count in sorted(values.items()):
        stream.write(f'{full}{{{label}="{value}"}} {count}\n')
