"""JUnit's XML as Jenkins and GitLab read it: a group is a suite, a finding a failed case."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.lint import clean, end, start, xml

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
    writer = xml(stream)
    tests = len(findings) or 1
    start(writer, "testsuites", name="lockcfg audit", tests=tests, failures=failures, errors=0)
    writer.ignorableWhitespace("\n")
    for group, of_group in groupby(findings, key=lambda finding: finding.group):
        _suite(writer, group or "fleet", list(of_group))
    if not findings:  # a report without a case is taken for one that went wrong
        start(writer, "testsuite", name="fleet", tests=1, failures=0, errors=0, skipped=0)
        start(writer, "testcase", name=f"{len(result.hosts)} hosts audited", classname="fleet")
        end(writer, "testcase")
        end(writer, "testsuite")
    end(writer, "testsuites")


def _suite(writer: XMLGenerator, group: str, findings: list[AuditFinding]) -> None:
    waived = sum(finding.waived is not None for finding in findings)
    start(
        writer,
        "testsuite",
        name=group,
        tests=len(findings),
        failures=len(findings) - waived,
        errors=0,
        skipped=waived,
    )
    writer.ignorableWhitespace("\n")
    names: Counter[str] = Counter()
    for finding in findings:
        name = f"{finding.code} {finding.rule}"
        names[name] += 1
        if names[name] > 1:  # of two cases of one name, readers drop one
            name += f" ({names[name]})"
        start(writer, "testcase", name=name, classname=group)
        if finding.waived is None:
            start(writer, "failure", message=finding.message, type=finding.code)
            writer.characters(clean(_words(finding)))
            writer.endElement("failure")
        else:
            start(writer, "skipped", message=finding.waived.reason)
            writer.endElement("skipped")
        end(writer, "testcase")
    end(writer, "testsuite")


def _words(finding: AuditFinding) -> str:
    hosts = fold(finding.hosts)
    shown = ", ".join(hosts[:_MOST]) + (" …" if len(hosts) > _MOST else "")
    lines = [f"{finding.severity}: {finding.message}", shown, *finding.reasons, finding.help]
    return "\n".join(line for line in lines if line)
