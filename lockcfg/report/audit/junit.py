"""JUnit's XML as Jenkins and GitLab read it: a group is a suite, a finding a failed case."""

from __future__ import annotations

from itertools import groupby

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.junit import suite, suites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO
    from xml.sax.saxutils import XMLGenerator

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult

#: How many ranges of hosts are named in a case.
_MOST = 50


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`. What is for information only passes."""
    findings = [finding for finding in result.findings if finding.severity != "info"]
    findings.sort(key=lambda finding: finding.group)
    failures = sum(finding.waived is None for finding in findings)
    tests = len(findings) or 1
    with suites(stream, "lockcfg audit", tests=tests, failures=failures) as writer:
        for group, of_group in groupby(findings, key=lambda finding: finding.group):
            _suite(writer, group or "fleet", list(of_group))
        if not findings:  # a report without a case is taken for one that went wrong
            with suite(writer, "fleet", tests=1) as whole:
                whole.passed(f"{len(result.hosts)} hosts audited")


def _suite(writer: XMLGenerator, group: str, findings: list[AuditFinding]) -> None:
    tests = len(findings)
    waived = sum(finding.waived is not None for finding in findings)
    with suite(writer, group, tests=tests, failures=tests - waived, skipped=waived) as of_group:
        for finding in findings:
            name = f"{finding.code} {finding.rule}"
            if finding.waived is None:
                of_group.case(name, "failure", finding.message, _words(finding), finding.code)
            else:
                of_group.case(name, "skipped", finding.waived.reason)


def _words(finding: AuditFinding) -> str:
    hosts = fold(finding.hosts)
    shown = ", ".join(hosts[:_MOST]) + (" …" if len(hosts) > _MOST else "")
    lines = [f"{finding.severity}: {finding.message}", shown, *finding.reasons, finding.help]
    return "\n".join(line for line in lines if line)
