"""JUnit's XML as Jenkins and GitLab read it: a file is a suite, a finding a failed case."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from lockcfg.report.lint import clean, end, reason, relative, start, words, xml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO
    from xml.sax.saxutils import XMLGenerator

    from lockcfg.lint.result import Diagnostic, LintResult


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    failures = sum(diagnostic.suppression is None for diagnostic in result.diagnostics)
    errors = len(result.unreadable)
    passed = not failures and not errors
    tests = len(result.diagnostics) + errors + passed
    writer = xml(stream)
    start(writer, "testsuites", name="lockcfg", tests=tests, failures=failures, errors=errors)
    writer.ignorableWhitespace("\n")
    for raw, group in groupby(result.diagnostics, key=lambda diagnostic: diagnostic.finding.path):
        _file(writer, relative(raw, root), list(group))
    for raw, why in result.unreadable:
        path = relative(raw, root)
        _suite(writer, path, tests=1, errors=1)
        _case(writer, "unreadable", path, "error", f"cannot be read: {why}", "")
        end(writer, "testsuite")
    if passed:  # a report without a case is taken for one that went wrong
        _suite(writer, "lockcfg", tests=1)
        start(writer, "testcase", name=f"{result.files} files checked", classname="lockcfg")
        end(writer, "testcase")
        end(writer, "testsuite")
    end(writer, "testsuites")


def _file(writer: XMLGenerator, path: str, diagnostics: Sequence[Diagnostic]) -> None:
    failures = sum(diagnostic.suppression is None for diagnostic in diagnostics)
    _suite(
        writer,
        path,
        tests=len(diagnostics),
        failures=failures,
        skipped=len(diagnostics) - failures,
    )
    names: Counter[str] = Counter()
    for diagnostic in diagnostics:
        finding, place = diagnostic.finding, diagnostic.finding.place
        name = f"{diagnostic.code} {finding.rule}"
        where = "\ufffd".join(path.splitlines())  # nothing of it begins a line of a log
        if place is not None:
            name += f" at {place.line}:{place.column}"
            where += f":{place.line}:{place.column}"
        names[name] += 1
        if names[name] > 1:  # of two cases of one name, readers drop one
            name += f" ({names[name]})"
        if diagnostic.suppression is None:
            text = f"{where}: {finding.severity}: {words(finding)}"
            _case(writer, name, path, "failure", finding.message, text, diagnostic.code)
        else:
            _case(writer, name, path, "skipped", reason(diagnostic), "")
    end(writer, "testsuite")


def _suite(
    writer: XMLGenerator,
    name: str,
    *,
    tests: int,
    failures: int = 0,
    errors: int = 0,
    skipped: int = 0,
) -> None:
    start(
        writer,
        "testsuite",
        name=name,
        tests=tests,
        failures=failures,
        errors=errors,
        skipped=skipped,
    )
    writer.ignorableWhitespace("\n")


def _case(
    writer: XMLGenerator,
    name: str,
    path: str,
    outcome: str,
    message: str,
    text: str,
    type: str | None = None,
) -> None:
    """A case that did not pass, and why."""
    start(writer, "testcase", name=name, classname=path)
    start(writer, outcome, message=message, type=type)
    writer.characters(clean(text))
    writer.endElement(outcome)
    end(writer, "testcase")
