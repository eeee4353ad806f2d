"""JSON of our own, which ``schemas/audit-output.schema.json`` describes."""

from __future__ import annotations

import json

from lockcfg.report.audit.probe import probe_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult, DiskRow, Since


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`. The JSON is ASCII, so that no stream can damage it. Each
    member of a list is on a line of its own."""
    stream.write("{\n")
    members = members_of(result)
    for number, (name, value) in enumerate(members.items()):
        stream.write(f'"{name}": ')
        if isinstance(value, list) and value and isinstance(value[0], dict):
            stream.write("[\n")
            for at, item in enumerate(value):
                stream.write(json.dumps(item))
                stream.write(",\n" if at < len(value) - 1 else "\n")
            stream.write("]")
        else:
            stream.write(json.dumps(value))
        stream.write(",\n" if number < len(members) - 1 else "\n")
    stream.write("}\n")


def members_of(result: AuditResult) -> dict[str, Any]:
    """The members of the report, in order."""
    counted = result.counted
    return {
        "version": result.version,
        "now": result.now,
        "policy": result.policy or None,
        "verdict": {"level": result.verdict.level, "text": result.verdict.text},
        "summary": {
            "hosts": len(result.hosts),
            "unknown_hosts": len(result.unknown),
            **{
                f"{severity}s": sum(finding.severity == severity for finding in counted)
                for severity in ("error", "warning", "info")
            },
            "waived": len(result.findings) - len(counted),
            "shared_disks": len(result.disks),
            "unsafe_disks": sum(disk.safe == "no" for disk in result.disks),
            "unreadable": len(result.problems),
        },
        "groups": [
            {
                "name": group.name,
                "inferred": group.inferred,
                "storages": list(group.storages),
                "worst": group.worst,
                "hosts": list(group.hosts),
            }
            for group in result.groups
        ],
        "domains": [
            {
                "group": domain.group,
                "kind": domain.kind,
                "mode": domain.mode,
                "key": domain.key,
                "reach": domain.reach,
                "apart": domain.apart,
                "where": domain.where,
                "hosts": list(domain.hosts),
            }
            for domain in result.domains
        ],
        "findings": [_finding(finding) for finding in result.findings],
        "disks": [_disk(disk) for disk in result.disks],
        "probe": probe_json(result.probe),
        "profiles": [
            {
                "group": profile.group,
                "worst": profile.worst,
                "known": profile.known,
                "settings": profile.settings,
                "odd": list(profile.odd),
                "hosts": list(profile.hosts),
            }
            for profile in result.profiles
        ],
        "since": _since(result.since) if result.since else None,
        "unknown": list(result.unknown),
        "unreadable": [
            {"source": problem.source, "host": problem.host or None, "reason": problem.reason}
            for problem in result.problems
        ],
        "notes": list(result.notes),
        "rules": [
            {
                "code": rule.code,
                "name": rule.name,
                "severity": rule.severity,
                "summary": rule.summary,
                "url": rule.url,
            }
            for rule in result.rules
        ],
    }


def _finding(finding: AuditFinding) -> dict[str, Any]:
    waived = finding.waived
    return {
        "code": finding.code,
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "group": finding.group,
        "hosts": list(finding.hosts),
        "reasons": list(finding.reasons),
        "help": finding.help,
        "waived": {"reason": waived.reason, "until": waived.until or None} if waived else None,
    }


def _since(since: Since) -> dict[str, Any]:
    return {
        "then": since.then,
        "verdict": {"level": since.level, "text": since.text},
        **{
            name: [
                {"severity": change.severity, "text": change.text, "hosts": list(change.hosts)}
                for change in changes
            ]
            for name, changes in (("worse", since.worse), ("better", since.better))
        },
        "come": list(since.come),
        "gone": list(since.gone),
    }


def _disk(disk: DiskRow) -> dict[str, Any]:
    return {
        "name": disk.name,
        "kind": disk.kind,
        "safe": disk.safe,
        "cause": disk.cause or None,
        "written": disk.written,
        "hosts": list(disk.hosts),
        "pair": list(disk.pair),
        "pairs": [
            {"exclude": seen, "one": list(one), "other": list(other)}
            for seen, one, other in disk.pairs
        ],
        "reasons": list(disk.reasons),
        "users": [
            {"host": user.host, "guest": user.guest, "path": user.path, "running": user.running}
            for user in disk.users
        ],
    }
