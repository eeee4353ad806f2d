"""JUnit's XML as Jenkins and GitLab read it: what the reports of the linter and the audit share."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

from lockcfg.report.untrusted import clean
from lockcfg.report.xmlstream import end, start, xml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal, TextIO
    from xml.sax.saxutils import XMLGenerator


class Suite:
    """A suite while it is written."""

    def __init__(self, writer: XMLGenerator, name: str) -> None:
        self._writer = writer
        self._name = name
        self._cases: Counter[str] = Counter()

    def passed(self, name: str) -> None:
        """Write a case that passed."""
        start(self._writer, "testcase", name=name, classname=self._name)
        end(self._writer, "testcase")

    def case(
        self,
        name: str,
        outcome: Literal["failure", "error", "skipped"],
        message: str,
        text: str = "",
        type: str | None = None,
    ) -> None:
        """Write a case that did not pass, and why. Readers drop one of two cases with the same
        name, so the second one gets a number."""
        self._cases[name] += 1
        if self._cases[name] > 1:
            name += f" ({self._cases[name]})"
        start(self._writer, "testcase", name=name, classname=self._name)
        start(self._writer, outcome, message=message, type=type)
        self._writer.characters(clean(text))
        self._writer.endElement(outcome)
        end(self._writer, "testcase")


@contextmanager
def suites(
    stream: TextIO, name: str, *, tests: int, failures: int, errors: int = 0
) -> Iterator[XMLGenerator]:
    """Write the document. Its counts come first, so the caller must know them in advance."""
    writer = xml(stream)
    start(writer, "testsuites", name=name, tests=tests, failures=failures, errors=errors)
    writer.ignorableWhitespace("\n")
    yield writer
    end(writer, "testsuites")


@contextmanager
def suite(
    writer: XMLGenerator,
    name: str,
    *,
    tests: int,
    failures: int = 0,
    errors: int = 0,
    skipped: int = 0,
) -> Iterator[Suite]:
    """Write a suite of the document, with its counts."""
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
    yield Suite(writer, name)
    end(writer, "testsuite")
