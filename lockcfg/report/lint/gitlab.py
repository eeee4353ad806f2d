"""The Code Quality report of GitLab, for its widget in merge requests."""

from __future__ import annotations

import hashlib

from lockcfg.report.diagnostics import relative, words
from lockcfg.report.jsonstream import dump
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, TextIO

    from lockcfg.lint.result import LintResult

#: No rule is about style, so nothing is minor. blocker is for a file that could not be read.
_SEVERITIES: Final = {"error": "critical", "warning": "major", "info": "info"}


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    dump(_issues(result, root), stream)
    stream.write("\n")


def _issues(result: LintResult, root: str) -> Iterator[dict[str, Any]]:
    for diagnostic in result.diagnostics:
        if diagnostic.suppression is None:
            finding = diagnostic.finding
            yield _issue(
                words(finding),
                diagnostic.code,
                diagnostic.fingerprint,
                _SEVERITIES[finding.severity],
                relative(finding.path, root),
                finding.place.line if finding.place else 1,
            )
    for path, why in result.unreadable:
        path = relative(path, root)
        fingerprint = hashlib.sha256(f"unreadable\0{path}".encode("utf-8", "surrogatepass"))
        yield _issue(
            f"cannot be read: {why}", "unreadable", fingerprint.hexdigest(), "blocker", path, 1
        )


def _issue(
    description: str, check: str, fingerprint: str, severity: str, path: str, line: int
) -> dict[str, Any]:
    return {
        "description": clean(description),
        "check_name": check,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": clean(path), "lines": {"begin": line}},
    }
