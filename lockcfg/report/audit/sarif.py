"""SARIF 2.1.0, the OASIS standard. A host is not a file, so it is a logical location."""

from __future__ import annotations

import hashlib
import json

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.sarif import LEVELS, message, write_run
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TextIO

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult

#: What code scanning services show a finding at: they know files only.
_ARTIFACT: Final = "fleet.yaml"


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    index = {rule.code: number for number, rule in enumerate(result.rules)}
    # The standard wants suppressions with all results of a run or with none.
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
        results=(_result(finding, index, suppressing=suppressing) for finding in result.findings),
    )


def _result(finding: AuditFinding, index: dict[str, int], *, suppressing: bool) -> dict[str, Any]:
    lines = [finding.message, ", ".join(fold(finding.hosts)[:50]), *finding.reasons, finding.help]
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _ARTIFACT},
            "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
        },
        "logicalLocations": [
            {"name": clean(host), "kind": "host"} for host in finding.hosts[:1000]
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
    """The same as long as the same is said of the same hosts."""
    about = json.dumps([finding.code, finding.group, finding.message, finding.hosts])
    return hashlib.sha256(about.encode()).hexdigest()
