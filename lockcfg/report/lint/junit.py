"""JUnit's XML as Jenkins and GitLab read it: a file is a suite, a finding a failed case."""

from __future__ import annotations

from itertools import groupby

from lockcfg.report.diagnostics import reason, relative, words
from lockcfg.report.junit import suite, suites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO
    from xml.sax.saxutils import XMLGenerator

    from lockcfg.lint.result import LintFinding, LintResult


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    failures = sum(diagnostic.suppression is None for diagnostic in result.diagnostics)
    errors = len(result.unreadable)
    passed = not failures and not errors
    tests = len(result.diagnostics) + errors + passed
    with suites(stream, "lockcfg", tests=tests, failures=failures, errors=errors) as writer:
        for raw, group in groupby(result.diagnostics, key=lambda each: each.finding.path):
            _file(writer, relative(raw, root), list(group))
        for raw, why in result.unreadable:
            with suite(writer, relative(raw, root), tests=1, errors=1) as unreadable:
                unreadable.case("unreadable", "error", f"cannot be read: {why}")
        if passed:  # readers take a report without a case for a failure
            with suite(writer, "lockcfg", tests=1) as whole:
                whole.passed(f"{result.files} files checked")


def _file(writer: XMLGenerator, path: str, diagnostics: Sequence[LintFinding]) -> None:
    tests = len(diagnostics)
    failures = sum(diagnostic.suppression is None for diagnostic in diagnostics)
    with suite(writer, path, tests=tests, failures=failures, skipped=tests - failures) as of_file:
        for diagnostic in diagnostics:
            finding, place = diagnostic.finding, diagnostic.finding.place
            name = f"{diagnostic.code} {finding.rule}"
            where = "\ufffd".join(path.splitlines())  # no part of it begins a line of a log
            if place is not None:
                name += f" at {place.line}:{place.column}"
                where += f":{place.line}:{place.column}"
            if diagnostic.suppression is None:
                text = f"{where}: {finding.severity}: {words(finding)}"
                of_file.case(name, "failure", finding.message, text, diagnostic.code)
            else:
                of_file.case(name, "skipped", reason(diagnostic))
