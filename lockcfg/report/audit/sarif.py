"""SARIF 2.1.0, the OASIS standard. A host is no file, so it is a logical location."""

from __future__ import annotations

import hashlib
import json

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.lint import clean, dump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TextIO

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult, RuleInfo

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}

#: What code scanning services show a finding at: they know files only.
_ARTIFACT: Final = "fleet.yaml"


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    index = {rule.code: number for number, rule in enumerate(result.rules)}
    # The standard wants suppressions with all results of a run or with none.
    suppressing = any(finding.waived is not None for finding in result.findings)
    driver: dict[str, Any] = {"name": "lockcfg"}
    if result.version:
        driver["version"] = result.version
    driver["rules"] = (_rule(rule) for rule in result.rules)
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": (
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": _message(f"{problem.source}: {problem.reason}"),
                    }
                    for problem in result.problems
                ],
            },
        ),
        "results": (
            _result(finding, index, suppressing=suppressing) for finding in result.findings
        ),
    }
    dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": (run,)}, stream)
    stream.write("\n")


def _rule(rule: RuleInfo) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": _message(rule.summary),
        "fullDescription": _message(rule.summary),
        "help": _message(f"See {rule.url}"),
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


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
        "level": _LEVELS[finding.severity],
        "message": _message("\n".join(line for line in lines if line)),
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


def _message(text: str) -> dict[str, str]:
    """A message. Braces, which make placeholders, are doubled; what would be a link is none."""
    text = clean(text).replace("{", "{{").replace("}", "}}")
    return {"text": text.replace("](", "] (")}
