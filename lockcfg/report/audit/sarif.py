"""SARIF 2.1.0, the OASIS standard. A host is a logical location. If a setting is the cause, its
file and line are the physical location."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote

from lockcfg.fleet.policy.host_ranges import shortened
from lockcfg.report.sarif import LEVELS, message, write_run
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, TextIO

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult

#: How many ranges of hosts a message names.
_NAMED: Final = 50

#: How many hosts are logical locations of a result.
_LOCATED: Final = 1000

#: The file for a finding that has none: code scanning services show findings only in files.
_ARTIFACT: Final = "fleet.yaml"


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    index = {rule.code: number for number, rule in enumerate(result.rules)}
    # By the standard, all results of a run have suppressions, or none has.
    suppressing = any(finding.waived is not None for finding in result.findings)
    write_run(
        stream,
        version=result.version,
        rules=result.rules,
        successful=True,
        notifications=[
            {"level": "error", "message": message(f"{problem.source}: {problem.reason}")}
            for problem in result.problems
        ],
        results=(
            _result(part, index, suppressing=suppressing)
            for finding in result.findings
            for part in _parts(finding)
        ),
    )


def _parts(finding: AuditFinding) -> Iterator[AuditFinding]:
    """The parts of a finding: one for each host whose file is the cause, as services show a result
    at one place, and one for the other hosts."""
    rest = [host for host in finding.hosts if host not in finding.places]
    for host, place in finding.places.items():
        if host in finding.hosts:
            yield finding.replace(hosts=[host], places={host: place})
    if rest and finding.places:
        # Of many hosts only the first are asked for the line.
        found = f"{len(finding.places)} more hosts have it, each in a result at its own file"
        yield finding.replace(hosts=rest, places={}, reasons=(*finding.reasons, found))
    elif rest or not finding.hosts:
        yield finding.replace(hosts=rest, places={})


def _result(finding: AuditFinding, index: dict[str, int], *, suppressing: bool) -> dict[str, Any]:
    lines = [finding.message, shortened(finding.hosts, _NAMED), *finding.reasons, finding.help]
    if len(finding.hosts) > _LOCATED:
        lines.append(f"{len(finding.hosts) - _LOCATED} more hosts are no locations: see --json")
    uri, line = next(iter(finding.places.values()), (_ARTIFACT, 1))
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(clean(uri.removeprefix("./")))},
            "region": {"startLine": line or 1},
        },
        "logicalLocations": [
            {"name": clean(host), "kind": "host"} for host in finding.hosts[:_LOCATED]
        ],
    }
    described: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index[finding.code],
        "level": LEVELS[finding.severity],
        "message": message("\n".join(line for line in lines if line)),
        "locations": [location],
        "partialFingerprints": {"lockcfg/v1": _fingerprint(finding)},
    }
    if suppressing:
        described["suppressions"] = (
            [{"kind": "external", "justification": clean(finding.waived.reason)}]
            if finding.waived
            else []
        )
    return described


def _fingerprint(finding: AuditFinding) -> str:
    """A fingerprint that stays the same while the message and the hosts stay the same."""
    about = json.dumps([finding.code, finding.group, finding.message, finding.hosts])
    return hashlib.sha256(about.encode()).hexdigest()
