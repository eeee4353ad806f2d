"""JUnit's XML as Jenkins and GitLab read it: a host is a suite, and each rule a case of it.

The names are the same from run to run, so a reader can tell what is new and what is fixed. A
finding that is about no host is in a suite of its own.
"""

from __future__ import annotations

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.junit import suite, suites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO
    from xml.sax.saxutils import XMLGenerator

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult

    #: The findings about a host, or about no host, by the code of the rule.
    Found = Mapping[str, list[AuditFinding]]

#: How many ranges of hosts a case names.
_MOST = 50

#: Why a case without a finding is skipped, if the host has no snapshot.
_NOT_KNOWN = "there is no snapshot of this host that could be read"


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`. A case whose findings are for information only passes."""
    found: dict[str, dict[str, list[AuditFinding]]] = {host: {} for host in result.hosts}
    for finding in result.findings:
        if finding.severity != "info":
            for host in finding.hosts or ("",):
                found.setdefault(host, {}).setdefault(finding.code, []).append(finding)
    # The fleet itself always has a suite: readers take a report without a case for a failure.
    found.setdefault("", {})
    known = {host for profile in result.profiles for host in profile.hosts}
    rules = {rule.code: f"{rule.code} {rule.name}" for rule in result.rules}
    failures = sum(_fails(of_rule) for of_host in found.values() for of_rule in of_host.values())
    tests = len(found) * len(rules)
    with suites(stream, "lockcfg audit", tests=tests, failures=failures) as writer:
        for host, of_host in found.items():
            _suite(writer, host, of_host, rules, known=not host or host in known)


def _suite(
    writer: XMLGenerator, host: str, found: Found, rules: Mapping[str, str], *, known: bool
) -> None:
    failures = sum(map(_fails, found.values()))
    skipped = (len(found) if known else len(rules)) - failures
    name = host or "(fleet)"
    with suite(writer, name, tests=len(rules), failures=failures, skipped=skipped) as of_host:
        for code, rule in rules.items():
            findings = found.get(code, [])
            counted = [finding for finding in findings if finding.waived is None]
            if counted:
                messages = "; ".join(finding.message for finding in counted)
                words = "\n\n".join(map(_words, counted))
                of_host.case(rule, "failure", messages, words, code)
            elif findings:
                reasons = [finding.waived.reason for finding in findings if finding.waived]
                of_host.case(rule, "skipped", "; ".join(reasons))
            elif known:
                of_host.passed(rule)
            else:
                of_host.case(rule, "skipped", _NOT_KNOWN)


def _fails(findings: Iterable[AuditFinding]) -> bool:
    return any(finding.waived is None for finding in findings)


def _words(finding: AuditFinding) -> str:
    hosts = fold(finding.hosts)
    shown = ", ".join(hosts[:_MOST]) + (" …" if len(hosts) > _MOST else "")
    lines = [f"{finding.severity}: {finding.message}", shown, *finding.reasons, finding.help]
    return "\n".join(line for line in lines if line)
